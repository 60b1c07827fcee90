# Every target needs only python3, g++, make and perl. The environment is built from PyPI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Passed to the command line tool; empty means its default.
CONFIG ?=
MODEL  ?=
IMAGES ?=
LABELS ?=
LIMIT  ?=
CALIB  ?=
DEVICE ?=
# Of a board, as /dev/ttyUSB0.
PORT   ?=
BAUD   ?=
BATCH  ?=
RLC    ?=
OUT    ?=
# As LAYER=on, LAYER=off or LAYER=auto, with blanks between; modulo, balanced or windows.
SPARSE ?=
PLACEMENT ?=
# Of a bitstream: a board's name or list; of its placement; flash instead of SRAM.
BOARD  ?=
SEED   ?=
PERSIST ?=
JSON   ?=
WAVES  ?=
HUFFMAN ?=
NET ?=
MODE ?=
# conv, fc or all: which layers of it.
PART ?=
# Of a comparison: PEs, loop orders (published or any), table of energies.
PES ?=
ORDERS ?=
COSTS ?=
# Of an energy estimate: a file of layers, a JSON of make bench.
LAYERS ?=
RUN ?=
# cycles or dram: what mappings are chosen for first; clustered: zeros as ReLU leaves them.
OBJECTIVE ?=
ZEROS ?=
# latency: what `make scale` changes, instead of the array.
BY ?=
# Fields of the configuration to change, as rows=6 columns=14, with blanks between.
SET ?=
# Of an exploration: values of fields, as rows=6,12 filter_spad=64,96, with blanks between; EXACT=1: its front from the
# commands; logic of a PE; a Dask scheduler.
SWEEP ?=
EXACT ?=
PE_AREA ?=
JOBS ?=
SCHEDULER ?=
# Of a precision study: widths, with blanks between.
BITS ?=
# Further arguments for pytest.
ARGS   ?=

# The stamp is named by the content of pyproject.toml, so a change installs again.
STAMP := $(VENV)/.installed-$(shell cksum pyproject.toml | cut -d' ' -f1)

space := $() $()
comma := ,
option = $(if $($(1)),--$(2) "$($(1))")
sparse = $(foreach s,$(SPARSE),--sparse "$(s)") $(call option,PLACEMENT,placement)
bench  = $(foreach s,$(SET),--set "$(s)") $(call option,MODE,mode) $(call option,BATCH,batch) $(call option,OBJECTIVE,objective)
CASE = $(or $(NET),alexnet)-$(or $(MODE),dense)$(if $(CONFIG),-$(basename $(notdir $(CONFIG))))$(if $(BATCH),-batch$(BATCH))$(if $(OBJECTIVE),-$(OBJECTIVE))$(if $(ZEROS),-$(ZEROS))$(if $(SET),-$(subst $(space),-,$(strip $(subst =,,$(SET)))))
RESULT = docs/results/bench-$(CASE)
SCALE  = docs/results/scale-$(if $(BY),$(BY)-)$(CASE)
waves  = $(if $(filter-out 0,$(WAVES)),--waves)
huffman = $(if $(filter-out 0,$(HUFFMAN)),--huffman)

.PHONY: help setup verilog run board-sim fpga flash compile map dataflows energy explore precision gates report bench scale bench-fc sim netlist test lint clean
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(call install,[EXTRA]). Modules are compiled when they are first used, which halves the time.
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".$(1)"

setup: $(STAMP)  ## create .venv with everything that the other targets need
$(STAMP):
	$(PYTHON) -m venv $(VENV)
	$(call install)
	@rm -f $(VENV)/.installed-*
	@touch $@

# Place and route is 60 MB that only bitstreams need, unless native tools are there; Dask is for explorations on a cluster.
EXTRAS := fpga cluster
EXTRA_STAMPS := $(EXTRAS:%=$(STAMP)-%)
$(EXTRA_STAMPS): $(STAMP)-%: $(STAMP)
	$(call install,[$*])
	@touch $@
# The tests need it all: at once.
TEST_STAMP := $(STAMP)-test
$(TEST_STAMP):
	$(PYTHON) -m venv $(VENV)
	$(call install,[$(subst $(space),$(comma),$(EXTRAS))])
	@rm -f $(VENV)/.installed-*
	@touch $(STAMP) $(EXTRA_STAMPS) $@

verilog: $(STAMP)  ## CONFIG -> build/<name>/<name>.v and .json, checked with Verilator and Yosys
	$(BIN)/python cli.py verilog $(call option,CONFIG,config) --lint

run: $(STAMP)  ## run MODEL on IMAGES (CONFIG LABELS LIMIT CALIB DEVICE PORT BATCH RLC SPARSE PLACEMENT JSON WAVES)
	$(BIN)/python cli.py run $(call option,MODEL,model) $(call option,IMAGES,images) $(call option,LABELS,labels) $(call option,LIMIT,limit) $(call option,CALIB,calib) $(call option,CONFIG,config) $(call option,DEVICE,device) $(call option,PORT,port) $(call option,BAUD,baud) $(call option,BATCH,batch) $(call option,RLC,rlc) $(sparse) $(call option,JSON,json) $(waves)

board-sim: $(STAMP)  ## the same on a simulated board, over its serial line (BOARD MODEL IMAGES LABELS LIMIT CALIB CONFIG BATCH RLC SPARSE JSON)
	$(BIN)/python cli.py board-sim $(call option,BOARD,board) $(call option,MODEL,model) $(call option,IMAGES,images) $(call option,LABELS,labels) $(call option,LIMIT,limit) $(call option,CALIB,calib) $(call option,CONFIG,config) $(call option,BATCH,batch) $(call option,RLC,rlc) $(sparse) $(call option,JSON,json)

fpga: $(STAMP)-fpga  ## a board's bitstream, docs/results/fpga/<board>-<preset>.json (BOARD=list|NAME SEED)
	$(BIN)/python cli.py fpga "$(or $(BOARD),list)" $(call option,SEED,seed) --json docs/results/fpga

flash: $(STAMP)  ## load a board with it (BOARD PERSIST=1: into flash)
	$(BIN)/python cli.py flash "$(or $(BOARD),$(error flash needs BOARD=; make fpga BOARD=list names them))" $(if $(filter-out 0,$(PERSIST)),--persist)

compile: $(STAMP)  ## MODEL -> OUT: memory image, address map, C header and driver (CONFIG CALIB IMAGES BATCH SPARSE PLACEMENT HUFFMAN)
	$(BIN)/python cli.py compile $(if $(MODEL),"$(MODEL)") $(call option,CONFIG,config) $(call option,CALIB,calib) $(call option,IMAGES,images) $(call option,BATCH,batch) $(sparse) $(huffman) -o "$(or $(OUT),build/compiled)"

bench-fc: $(STAMP)  ## EIE's nine layers on 64 sparse PEs: table, docs/results/eie64.json and .svg
	$(BIN)/python cli.py bench-fc --json docs/results/eie64.json --plot docs/results/eie64.svg

map: $(STAMP)  ## the mapping of every convolution (NET=alexnet|vgg16|lenet5|googlenet|resnet50|squeezenet1.0|squeezenet1.1|FILE.onnx PART=conv|fc|all CONFIG SET MODE BATCH OBJECTIVE JSON)
	$(BIN)/python cli.py map $(call option,NET,net) $(call option,PART,part) $(call option,CONFIG,config) $(bench) $(call option,JSON,json)

energy: $(STAMP)  ## energy on a configuration by a cost table (NET as map, PART CONFIG SET MODE BATCH COSTS JSON; RUN=bench.json; LAYERS=file.txt OUT=file.txt)
	$(BIN)/python cli.py energy $(call option,NET,net) $(call option,PART,part) $(call option,CONFIG,config) $(bench) $(call option,COSTS,costs) $(call option,RUN,run) $(call option,LAYERS,layers) $(call option,OUT,out) $(call option,JSON,json)

DATAFLOWS = docs/results/dataflows-$(patsubst %.onnx,%,$(notdir $(or $(NET),alexnet)))$(if $(PES),-pes$(PES))$(if $(BATCH),-batch$(BATCH))$(if $(PART),-$(PART))$(if $(ORDERS),-$(ORDERS))
dataflows: $(STAMP)  ## six dataflows on equal area: accesses, energy, delay; tables, .json and .svg (NET as map, PART PES=256 BATCH=16 ORDERS=published|any COSTS)
	$(BIN)/python cli.py dataflows $(call option,NET,net) $(call option,PART,part) $(call option,PES,pes) $(call option,BATCH,batch) $(call option,ORDERS,orders) $(call option,COSTS,costs) --json "$(or $(JSON),$(DATAFLOWS).json)" --plot "$(DATAFLOWS).svg"

bench: $(STAMP)  ## the convolutions on the RTL against the Eyeriss chip (NET=alexnet|vgg16 CONFIG SET MODE=dense|skip BATCH OBJECTIVE ZEROS)
	$(BIN)/python cli.py bench $(call option,NET,net) $(call option,CONFIG,config) $(bench) $(if $(filter clustered,$(ZEROS)),--clustered) --json $(RESULT).json --plot $(RESULT).svg

scale: $(STAMP)  ## the cost model on arrays from 12 to 336 PEs, or BY=latency (NET=alexnet|vgg16 CONFIG SET MODE BATCH OBJECTIVE)
	$(BIN)/python cli.py scale $(call option,NET,net) $(call option,BY,by) $(call option,CONFIG,config) $(bench) --json $(SCALE).json --plot $(SCALE).svg

# Values that were given, in a file's name: rows6,12-glb_pairs8.
named = $(if $(strip $(1)),-$(subst $(space),-,$(strip $(subst =,,$(1)))))
EXPLORE = docs/results/explore-$(patsubst %.onnx,%,$(notdir $(or $(NET),alexnet)))-$(or $(MODE),gate)$(call named,$(PART) $(patsubst %.json,%,$(notdir $(CONFIG))) $(if $(BATCH),batch$(BATCH)) $(OBJECTIVE) $(SET) $(SWEEP))
explore: $(if $(SCHEDULER),$(STAMP)-cluster,$(STAMP))  ## the Pareto front of cycles, energy and area over configurations (SWEEP NET as map, PART CONFIG SET MODE BATCH COSTS EXACT=1 JOBS SCHEDULER=tcp://...)
	$(BIN)/python cli.py explore $(call option,NET,net) $(call option,PART,part) $(call option,CONFIG,config) $(bench) $(foreach s,$(SWEEP),--sweep "$(s)") $(if $(filter-out 0,$(EXACT)),--exact) $(call option,COSTS,costs) $(call option,PE_AREA,pe-area) $(call option,JOBS,jobs) $(call option,SCHEDULER,scheduler) --json "$(or $(JSON),$(EXPLORE).json)" --plot "$(EXPLORE).svg"

PRECISION = docs/results/precision-$(patsubst %.onnx,%,$(notdir $(or $(MODEL),lenet5)))
precision: $(STAMP)  ## accuracy of MODEL as its bits shrink, linear against a codebook, all layers and each (IMAGES LABELS LIMIT CALIB BITS="16 8 4")
	$(BIN)/python cli.py precision $(call option,MODEL,model) $(call option,IMAGES,images) $(call option,LABELS,labels) $(call option,LIMIT,limit) $(call option,CALIB,calib) $(if $(BITS),--bits $(BITS)) --json "$(or $(JSON),$(PRECISION).json)" --plot "$(PRECISION).svg"

GATES = docs/results/gates-$(patsubst %.json,%,$(notdir $(or $(CONFIG),eyeriss)))$(call named,$(SET))
gates: $(STAMP)  ## gate count of a PE from Yosys, docs/results/gates-<config>.json (CONFIG SET)
	$(BIN)/python cli.py gates $(call option,CONFIG,config) $(foreach s,$(SET),--set "$(s)") --json "$(or $(JSON),$(GATES).json)"

report: $(STAMP)  ## docs/results/report.md and report.html of what is in docs/results, beside the Eyeriss chip (COSTS)
	$(BIN)/python cli.py report $(call option,COSTS,costs)

sim: $(STAMP)  ## run the cocotb benches of the components (WAVES=1 keeps waves)
	$(BIN)/python cli.py sim $(waves)

netlist: $(STAMP)  ## what Yosys makes of a small accelerator for an ECP5, simulated: the RTL's results and cycles
	$(BIN)/python -m pytest -q tests/fpga/test_netlist.py --netlist

test: $(TEST_STAMP)  ## the tests, some with some of their cases (ARGS for pytest)
	$(BIN)/python -m pytest $(ARGS)

test-all: override ARGS += --all
test-all: test  ## every case of the tests, more than an hour of a core (ARGS for pytest)

lint: verilog  ## another name of it

clean:  ## remove build/ (the environment stays)
	rm -rf build
