# Every target needs only python3, g++, make and perl. The environment is built from PyPI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What each target takes of the command line: here and nowhere else. It is listed by `make`, anything else is refused, and
# the command line tool is given it.
NETWORK := MODEL IMAGES LABELS LIMIT CALIB
MACHINE := CONFIG SET MODE BATCH OBJECTIVE
takes_verilog   := CONFIG
takes_run       := NET $(NETWORK) CONFIG DEVICE PORT BAUD BATCH MODE RLC SPARSE PLACEMENT JSON WAVES
takes_board-sim := BOARD NET $(NETWORK) CONFIG BATCH MODE RLC SPARSE PLACEMENT JSON
takes_fpga      := BOARD SEED
takes_flash     := BOARD PERSIST
takes_compile   := MODEL OUT CONFIG CALIB IMAGES BATCH SPARSE PLACEMENT HUFFMAN
takes_full-size := NET CONFIG JOBS
takes_map       := NET PART $(MACHINE) JSON
takes_energy    := NET PART $(MACHINE) COSTS RUN LAYERS OUT JSON
takes_dataflows := NET PART PES BATCH ORDERS COSTS JSON
takes_bench     := NET $(MACHINE) ZEROS
takes_scale     := NET BY $(MACHINE)
takes_explore   := NET PART $(MACHINE) SWEEP EXACT COSTS PE_AREA JOBS SCHEDULER JSON
takes_precision := $(NETWORK) BITS JSON
takes_gates     := CONFIG SET JSON
takes_report    := COSTS
takes_sim       := WAVES
takes_test      := ARGS
takes_test-all  := ARGS
takes_lint      := CONFIG
takes_count     := JSON AGAINST
takes_emitted   := JSON AGAINST

# A variable is given as --name "value", but for: values with blanks between, each of which the option is for; switches
# (0 is off); words for a switch.
each   = $(foreach value,$($(1)),--$(2) "$(value)")
switch = $(if $(filter-out 0,$($(1))),--$(2))
option_SPARSE  = $(call each,SPARSE,sparse)
option_SET     = $(call each,SET,set)
option_SWEEP   = $(call each,SWEEP,sweep)
option_BITS    = --bits $(BITS)
option_WAVES   = $(call switch,WAVES,waves)
option_HUFFMAN = $(call switch,HUFFMAN,huffman)
option_EXACT   = $(call switch,EXACT,exact)
option_PERSIST = $(call switch,PERSIST,persist)
option_ZEROS   = $(if $(filter-out clustered independent,$(ZEROS)),$(error ZEROS=$(ZEROS): clustered or independent))$(if \
	$(filter clustered,$(ZEROS)),--clustered)
option = $(or $(option_$(1)),$(if $(value option_$(1)),,--$(shell echo $(1) | tr A-Z_ a-z-) "$($(1))"))
# $(call given,TARGET,VARIABLES that its recipe places itself).
given = $(strip $(foreach name,$(filter-out $(2),$(takes_$(1))),$(if $($(name)),$(call option,$(name)))))

TARGETS := help setup verilog run board-sim fpga flash compile full-size map dataflows energy explore precision gates report bench \
	scale bench-fc sim netlist test test-all lint count emitted clean
# Not ours, or of every target.
GENERIC := PYTHON VENV BIN SHELL MAKE MAKEFLAGS CC CXX AR LD CFLAGS CXXFLAGS CPPFLAGS LDFLAGS
goals := $(or $(filter $(TARGETS),$(MAKECMDGOALS)),$(if $(MAKECMDGOALS),,help))
stray := $(filter-out $(GENERIC) $(foreach goal,$(goals),$(takes_$(goal))),$(foreach \
	name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(and $(goals),$(stray)),)
$(error make $(goals) takes no $(firstword $(stray)): it takes $(or \
	$(foreach goal,$(goals),$(takes_$(goal))),nothing))
endif
# Else a make that a test starts would be given our variables.
unexport MAKEFLAGS MAKEOVERRIDES

# The stamp is named by the content of pyproject.toml, so a change installs again.
STAMP := $(VENV)/.installed-$(shell cksum pyproject.toml | cut -d' ' -f1)

space := $() $()
comma := ,
CASE = $(or $(NET),alexnet)-$(or $(MODE),dense)$(if $(CONFIG),-$(basename $(notdir $(CONFIG))))$(if $(BATCH),-batch$(BATCH))$(if $(OBJECTIVE),-$(OBJECTIVE))$(if $(ZEROS),-$(ZEROS))$(if $(SET),-$(subst $(space),-,$(strip $(subst =,,$(SET)))))
# Values that were given, in a file's name: rows6,12-glb_pairs8.
named = $(if $(strip $(1)),-$(subst $(space),-,$(strip $(subst =,,$(1)))))
RESULT = docs/results/bench-$(CASE)
SCALE  = docs/results/scale-$(if $(BY),$(BY)-)$(CASE)

.PHONY: $(TARGETS)
help:  ## this list, with the variables that each takes, as make run LIMIT=4
	@awk -F ':.*## ' 'BEGIN { $(foreach target,$(TARGETS),takes["$(target)"] = "$(takes_$(target))";) } \
	/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2; if (takes[$$1]) printf "%17s%s\n", "", takes[$$1] }' \
	$(MAKEFILE_LIST)

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

verilog: $(STAMP)  ## configuration -> build/<name>/<name>.v and .json, checked with Verilator and Yosys
	$(BIN)/python cli.py verilog $(call given,verilog) --lint

run: $(STAMP)  ## a network on images, on the RTL; every layer compared with golden (NET=resnet50: a known one at full size, random weights; DEVICE=rtl|golden|board RLC=auto|on|off MODE=dense|gate|skip)
	$(BIN)/python cli.py run $(call given,run)

board-sim: $(STAMP)  ## the same on a simulated board, over its serial line
	$(BIN)/python cli.py board-sim $(call given,board-sim)

fpga: $(STAMP)-fpga  ## a board's bitstream, docs/results/fpga/<board>-<preset>.json (BOARD=list|NAME)
	$(BIN)/python cli.py fpga "$(or $(BOARD),list)" $(call given,fpga,BOARD) --json docs/results/fpga

flash: $(STAMP)  ## load a board with it (PERSIST=1: into flash)
	$(BIN)/python cli.py flash "$(or $(BOARD),$(error flash needs BOARD=; make fpga BOARD=list names them))" $(call given,flash,BOARD)

compile: $(STAMP)  ## MODEL -> OUT: memory image, address map, C header and driver (HUFFMAN=1: streams coded)
	$(BIN)/python cli.py compile $(if $(MODEL),"$(MODEL)") $(call given,compile,MODEL OUT) -o "$(or $(OUT),build/compiled)"

bench-fc: $(STAMP)  ## EIE's nine layers on 64 sparse PEs: table, docs/results/eie64.json and .svg
	$(BIN)/python cli.py bench-fc --json docs/results/eie64.json --plot docs/results/eie64.svg

FULL_SIZE = docs/results/full-size-$(patsubst %.json,%,$(notdir $(or $(CONFIG),eyeriss)))$(call named,$(NET))
full-size: $(STAMP)  ## known networks through the compiler: right, how fast, how close to onnxruntime (NET="resnet50 ...", all by default)
	$(BIN)/python cli.py full-size $(NET) $(call given,full-size,NET) --json "$(FULL_SIZE).json"

map: $(STAMP)  ## the mapping of every convolution (NET=alexnet|vgg16|lenet5|googlenet|resnet50|... or FILE.onnx PART=conv|fc|all)
	$(BIN)/python cli.py map $(call given,map)

energy: $(STAMP)  ## energy on a configuration by a cost table (NET as map; RUN=bench.json; LAYERS=file.txt OUT=file.txt)
	$(BIN)/python cli.py energy $(call given,energy)

DATAFLOWS = docs/results/dataflows-$(patsubst %.onnx,%,$(notdir $(or $(NET),alexnet)))$(if $(PES),-pes$(PES))$(if $(BATCH),-batch$(BATCH))$(if $(PART),-$(PART))$(if $(ORDERS),-$(ORDERS))
dataflows: $(STAMP)  ## six dataflows on equal area: accesses, energy, delay; tables, .json and .svg (NET as map, PES=256 BATCH=16 ORDERS=published|any)
	$(BIN)/python cli.py dataflows $(call given,dataflows,JSON) --json "$(or $(JSON),$(DATAFLOWS).json)" --plot "$(DATAFLOWS).svg"

bench: $(STAMP)  ## the convolutions on the RTL against the Eyeriss chip (NET=alexnet|vgg16 MODE=dense|gate|skip OBJECTIVE=cycles|dram ZEROS=clustered)
	$(BIN)/python cli.py bench $(call given,bench) --json $(RESULT).json --plot $(RESULT).svg

scale: $(STAMP)  ## the cost model on arrays from 12 to 336 PEs, or BY=latency (NET=alexnet|vgg16)
	$(BIN)/python cli.py scale $(call given,scale) --json $(SCALE).json --plot $(SCALE).svg

EXPLORE = docs/results/explore-$(patsubst %.onnx,%,$(notdir $(or $(NET),alexnet)))-$(or $(MODE),gate)$(call named,$(PART) $(patsubst %.json,%,$(notdir $(CONFIG))) $(if $(BATCH),batch$(BATCH)) $(OBJECTIVE) $(SET) $(SWEEP))
explore: $(if $(SCHEDULER),$(STAMP)-cluster,$(STAMP))  ## the Pareto front of cycles, energy and area over configurations (NET as map, SWEEP="rows=6,12 ..." EXACT=1 SCHEDULER=tcp://...)
	$(BIN)/python cli.py explore $(call given,explore,JSON) --json "$(or $(JSON),$(EXPLORE).json)" --plot "$(EXPLORE).svg"

PRECISION = docs/results/precision-$(patsubst %.onnx,%,$(notdir $(or $(MODEL),lenet5)))
precision: $(STAMP)  ## accuracy of MODEL as its bits shrink, linear against a codebook, all layers and each (BITS="16 8 4")
	$(BIN)/python cli.py precision $(call given,precision,JSON) --json "$(or $(JSON),$(PRECISION).json)" --plot "$(PRECISION).svg"

GATES = docs/results/gates-$(patsubst %.json,%,$(notdir $(or $(CONFIG),eyeriss)))$(call named,$(SET))
gates: $(STAMP)  ## gate count of a PE from Yosys, docs/results/gates-<config>.json
	$(BIN)/python cli.py gates $(call given,gates,JSON) --json "$(or $(JSON),$(GATES).json)"

report: $(STAMP)  ## docs/results/report.md and report.html of what is in docs/results, beside the Eyeriss chip
	$(BIN)/python cli.py report $(call given,report)

sim: $(STAMP)  ## run the cocotb benches of the components (WAVES=1 keeps waves)
	$(BIN)/python cli.py sim $(call given,sim)

netlist: $(STAMP)  ## what Yosys makes of a small accelerator for an ECP5, simulated: the RTL's results and cycles
	$(BIN)/python -m pytest -q tests/fpga/netlist/test_netlist.py --netlist

test: $(TEST_STAMP)  ## the tests, some with some of their cases (ARGS for pytest)
	$(BIN)/python -m pytest $(ARGS)

test-all: override ARGS += --all
test-all: test  ## every case of the tests, more than an hour of a core (ARGS for pytest)

lint: verilog  ## another name of verilog

count: $(STAMP)  ## how readable the source is, by folder and at its worst (AGAINST=what JSON= wrote before)
	$(BIN)/python -m tests.house $(call given,count)

emitted: $(STAMP)  ## digests of Verilog and programs: JSON= before a change of the source, AGAINST= after it
	$(BIN)/python -m tests.emitted $(call given,emitted)

clean:  ## remove build/ (the environment stays)
	rm -rf build
