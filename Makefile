# Every target needs only python3, g++, make and perl. The environment is built from PyPI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What each target takes of the command line: here and nowhere else. It is listed by `make`, anything
# else is refused, and the tool is given it. Named are the variables that are typed often, and those
# that a result's file is named by; ARGS holds any other options, as the tool's --help lists them
# (of the tests: pytest's).
DATA    := MODEL IMAGES LABELS LIMIT CALIB
MACHINE := CONFIG SET MODE BATCH OBJECTIVE
takes_verilog   := CONFIG ARGS
takes_run       := NET $(DATA) CONFIG DEVICE PORT BATCH MODE JSON WAVES ARGS
takes_board-sim := BOARD NET $(DATA) CONFIG BATCH MODE JSON ARGS
takes_selftest  := BOARD PORT CONFIG MEMORY $(DATA) JSON ARGS
takes_fpga      := BOARD SEED ARGS
takes_flash     := BOARD ARGS
takes_compile   := MODEL OUT CONFIG CALIB IMAGES BATCH ARGS
takes_full-size := NET CONFIG ARGS
takes_tiny      := NET CONFIG MODELS DEVICE CLOCK JSON ARGS
takes_map       := NET PART $(MACHINE) JSON ARGS
takes_energy    := NET PART $(MACHINE) RUN JSON ARGS
takes_dataflows := NET PART PES BATCH ORDERS JSON ARGS
takes_bench     := NET $(MACHINE) ZEROS ARGS
takes_bench-fc  := ARGS
takes_scale     := NET BY $(MACHINE) ARGS
takes_explore   := NET PART $(MACHINE) SWEEP EXACT SCHEDULER JSON ARGS
takes_precision := $(DATA) BITS JSON ARGS
takes_gates     := CONFIG SET JSON ARGS
takes_report    := ARGS
takes_sim       := WAVES ARGS
takes_netlist   := ARGS
takes_formal    := PART JSON ARGS
takes_test      := ARGS
takes_test-all  := ARGS
takes_count     := JSON AGAINST ARGS
takes_emitted   := JSON AGAINST ARGS
takes_baseline  := JSON AGAINST ARGS

# A variable is given as --name "value", but for: values with blanks between, each of which the
# option is for; switches (0 is off); words for a switch; ARGS, which is given as it is, last.
each   = $(foreach value,$($(1)),--$(2) "$(value)")
switch = $(if $(filter-out 0,$($(1))),--$(2))
option_SET   = $(call each,SET,set)
option_SWEEP = $(call each,SWEEP,sweep)
option_BITS  = --bits $(BITS)
option_WAVES = $(call switch,WAVES,waves)
option_EXACT = $(call switch,EXACT,exact)
option_ZEROS = $(if $(filter clustered,$(ZEROS)),--clustered)
option = $(or $(option_$(1)),$(if $(value option_$(1)),,--$(shell echo $(1) | tr A-Z_ a-z-) "$($(1))"))
# $(call given,TARGET,VARIABLES that its recipe places itself).
given = $(strip $(foreach name,$(filter-out ARGS $(2),$(takes_$(1))),$(if $($(name)),$(call \
	option,$(name)))))
# The tool with what a target was given: $(call tool,COMMAND,VARIABLES that come in other places,
# what comes before and after the others).
tool = $(strip $(BIN)/python -m cli $(1) $(3) $(call given,$(1),$(2)) $(4) $(ARGS))

TARGETS := help setup verilog run board-sim selftest fpga flash compile full-size tiny map dataflows energy \
	explore precision gates report bench scale bench-fc sim netlist formal test test-all lint count \
	emitted baseline clean
# Not ours, or of every target.
GENERIC := PYTHON VENV BIN SHELL MAKE MAKEFLAGS CC CXX AR LD CFLAGS CXXFLAGS CPPFLAGS LDFLAGS
goals := $(or $(filter $(TARGETS),$(MAKECMDGOALS)),$(if $(MAKECMDGOALS),,help))
taken := $(foreach goal,$(goals),$(takes_$(goal)))
stray := $(filter-out $(GENERIC) $(taken),$(foreach \
	name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(and $(goals),$(stray)),)
$(error make $(goals) takes no $(firstword $(stray)): it takes $(or $(taken),nothing))
endif
ifneq ($(and $(filter ZEROS,$(taken)),$(filter-out clustered independent,$(ZEROS))),)
$(error ZEROS=$(ZEROS): clustered or independent)
endif
ifneq ($(and $(filter flash,$(goals)),$(if $(BOARD),,none)),)
$(error flash needs BOARD=; make fpga BOARD=list names them)
endif
# Else a make that a test starts would be given our variables.
unexport MAKEFLAGS MAKEOVERRIDES $(sort $(foreach target,$(TARGETS),$(takes_$(target))))

# The stamp is named by the content of pyproject.toml, so a change installs again.
STAMP := $(VENV)/.installed-$(shell cksum pyproject.toml | cut -d' ' -f1)

space := $() $()
comma := ,
# Values that were given, in a file's name: -rows6,12-glb_pairs8, -layer-CONV3.
named = $(if $(strip $(1)),-$(subst $(space),-,$(strip $(subst /,-,$(subst =,,$(subst --,,$(1)))))))
# A file's name without its folder and suffix, or a usual one.
stem = $(or $(basename $(notdir $(1))),$(2))
net  = $(patsubst %.onnx,%,$(notdir $(or $(1),$(2))))
batch = $(if $(BATCH),batch$(BATCH))
CASE = $(or $(NET),alexnet)-$(or $(MODE),dense)$(call named,$(call stem,$(CONFIG)) $(batch) \
	$(OBJECTIVE) $(ZEROS) $(SET) $(ARGS))
RESULT = docs/results/bench-$(CASE)
SCALE  = docs/results/scale-$(if $(BY),$(BY)-)$(CASE)

.PHONY: $(TARGETS)
help:  ## this list, with the variables that each takes
	@awk -F ':.*## ' 'BEGIN { $(foreach target,$(TARGETS),takes["$(target)"] = "$(takes_$(target))";) } \
	/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2; if (takes[$$1]) printf "%17s%s\n", "", takes[$$1] }' \
	$(MAKEFILE_LIST)
	@echo 'as make run LIMIT=4 ARGS="--rlc off"; eyrie run --help, in $(BIN), lists what ARGS can hold'

# $(call install,[EXTRA]). Modules are compiled when they are first used, which halves the time.
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".$(1)"

setup: $(STAMP)  ## create .venv with everything that the other targets need
$(STAMP):
	$(PYTHON) -m venv $(VENV)
	$(call install)
	@rm -f $(VENV)/.installed-*
	@touch $@

# Place and route is 60 MB that only bitstreams need, unless native tools are there; Dask is for
# explorations on a cluster; ruff and pyright look at the source.
EXTRAS := fpga cluster lint tflite
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
	$(call tool,verilog,,,--lint)

run: $(STAMP)  ## a network on images, every layer compared with golden (NET=resnet50: a known one at full size, random weights; DEVICE=rtl|golden|board MODE=dense|gate|skip)
	$(call tool,run)

board-sim: $(STAMP)  ## the same on a simulated board, over its serial line
	$(call tool,board-sim)

selftest: $(STAMP)  ## bring-up, step by step, of the board at PORT=, or else of a simulated one (BOARD=, CONFIG=; MEMORY=sample|all)
	$(call tool,selftest)

fpga: $(STAMP)-fpga  ## a board's bitstream, docs/results/fpga/<board>-<preset>.json (BOARD=list|NAME)
	$(call tool,fpga,BOARD,"$(or $(BOARD),list)",--json docs/results/fpga)

flash: $(STAMP)  ## load a board with it (ARGS=--persist: into flash)
	$(call tool,flash,BOARD,"$(BOARD)")

compile: $(STAMP)  ## MODEL -> OUT: memory image, address map, C header and driver (ARGS=--huffman: streams coded)
	$(call tool,compile,MODEL OUT,$(if $(MODEL),"$(MODEL)"),-o "$(or $(OUT),build/compiled)")

bench-fc: $(STAMP)  ## EIE's nine layers on 64 sparse PEs: table, docs/results/eie64.json and .svg
	$(call tool,bench-fc,,,--json docs/results/eie64.json --plot docs/results/eie64.svg)

FULL_SIZE = docs/results/full-size-$(call stem,$(CONFIG),eyeriss)$(call named,$(NET) $(ARGS))
full-size: $(STAMP)  ## known networks through the compiler: right, how fast, how close to onnxruntime (NET="resnet50 ...", all by default)
	$(call tool,full-size,NET,$(NET),--json "$(FULL_SIZE).json")

TINY = docs/results/tiny-$(call stem,$(CONFIG),demo)$(call named,$(NET) $(ARGS))
tiny: $(STAMP)-tflite  ## MLPerf Tiny's int8 models in the folder MODELS=, equal to LiteRT tensor by tensor (NET="IC KWS", all by default)
	$(call tool,tiny,NET JSON,$(NET),--json "$(or $(JSON),$(TINY).json)")

map: $(STAMP)  ## the mapping of every convolution (NET=alexnet|vgg16|lenet5|googlenet|resnet50|... or FILE.onnx PART=conv|fc|all)
	$(call tool,map)

energy: $(STAMP)  ## energy on a configuration by a cost table (NET as map; RUN=bench.json)
	$(call tool,energy)

DATAFLOWS = docs/results/dataflows-$(call net,$(NET),alexnet)$(call named,$(if $(PES),pes$(PES)) \
	$(batch) $(PART) $(ORDERS) $(ARGS))
dataflows: $(STAMP)  ## six dataflows on equal area: accesses, energy, delay; tables, .json and .svg (NET as map, PES=256 BATCH=16 ORDERS=published|any)
	$(call tool,dataflows,JSON,,--json "$(or $(JSON),$(DATAFLOWS).json)" --plot "$(DATAFLOWS).svg")

bench: $(STAMP)  ## the convolutions on the RTL against the Eyeriss chip (NET=alexnet|vgg16 MODE=dense|gate|skip OBJECTIVE=cycles|dram ZEROS=clustered)
	$(call tool,bench,,,--json $(RESULT).json --plot $(RESULT).svg)

scale: $(STAMP)  ## the cost model on arrays from 12 to 336 PEs, or BY=latency (NET=alexnet|vgg16)
	$(call tool,scale,,,--json $(SCALE).json --plot $(SCALE).svg)

EXPLORE = docs/results/explore-$(call net,$(NET),alexnet)-$(or $(MODE),gate)$(call named,$(PART) \
	$(call stem,$(CONFIG)) $(batch) $(OBJECTIVE) $(SET) $(SWEEP) $(ARGS))
explore: $(if $(SCHEDULER),$(STAMP)-cluster,$(STAMP))  ## the Pareto front of cycles, energy and area over configurations (NET as map, SWEEP="rows=6,12 ..." EXACT=1 SCHEDULER=tcp://...)
	$(call tool,explore,JSON,,--json "$(or $(JSON),$(EXPLORE).json)" --plot "$(EXPLORE).svg")

PRECISION = docs/results/precision-$(call net,$(MODEL),lenet5)$(call named,$(ARGS))
precision: $(STAMP)  ## accuracy of MODEL as its bits shrink, linear against a codebook, all layers and each (BITS="16 8 4")
	$(call tool,precision,JSON,,--json "$(or $(JSON),$(PRECISION).json)" --plot "$(PRECISION).svg")

GATES = docs/results/gates-$(call stem,$(CONFIG),eyeriss)$(call named,$(SET) $(ARGS))
gates: $(STAMP)  ## gate count of a PE from Yosys, docs/results/gates-<config>.json
	$(call tool,gates,JSON,,--json "$(or $(JSON),$(GATES).json)")

report: $(STAMP)  ## docs/results/report.md and build/report/report.html of what is in docs/results, beside the chip
	$(call tool,report)

sim: $(STAMP)  ## run the cocotb benches of the components (WAVES=1 keeps waves)
	$(call tool,sim)

netlist: $(STAMP)  ## what Yosys makes of a small accelerator for an ECP5, simulated: the RTL's results and cycles
	$(BIN)/python -m pytest -q tests/fpga/netlist/test_netlist.py --netlist $(ARGS)

formal: $(STAMP)  ## unbounded proofs of the stream parts, arbiters, counters and bursts, with covers and planted faults (PART=a name's beginning)
	$(BIN)/python -m tests.formal $(call given,formal) $(ARGS)

# On every core, a file of tests on one, but for ARGS with -n, or with -s, which only one process
# can print for.
test: $(TEST_STAMP)  ## the tests, some with some of their cases, on all cores (ARGS for pytest: -n 0, paths, -k)
	$(BIN)/python -m pytest -n auto --dist loadfile $(if $(filter -s,$(ARGS)),-n 0 )$(ARGS)

test-all: override ARGS += --all
test-all: test  ## every case of the tests, more than an hour of a core (ARGS for pytest)

lint: $(STAMP)-lint  ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

count: $(STAMP)  ## how readable the source is, by folder and at its worst (AGAINST=what JSON= wrote before)
	$(BIN)/python -m tests.tools.house $(call given,count) $(ARGS)

emitted: $(STAMP)  ## digests of Verilog and programs: JSON= before a change of the source, AGAINST= after it
	$(BIN)/python -m tests.tools.emitted $(call given,emitted) $(ARGS)

baseline: $(STAMP)  ## cycles of fixed networks on every preset, LUTs by component, simulation speed (AGAINST=what JSON= wrote before a change)
	$(BIN)/python -m tests.tools.baseline $(call given,baseline) $(ARGS)

clean:  ## remove build/ (the environment stays)
	rm -rf build
