// The C++ driver: toggles the clock and serves the host on a pair of pipes. One line
// "OP ADDRESS VALUE" in decimal per operation, answered by "RESULT ANSWER CYCLE"; time advances
// only during an operation. End of file ends the simulation. Plusargs: +in=FD +out=FD
// +memory=FILE, +trace=FILE in a build with waves.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

static int fd_of(const char* name, size_t skip) {
    const char* found = Verilated::commandArgsPlusMatch(name);
    if (!*found) {
        fprintf(stderr, "simulator: no +%sFD\n", name);
        exit(2);
    }
    return atoi(found + skip);
}

double sc_time_stamp() { return 0; }

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    FILE* in = fdopen(fd_of("in=", 4), "r");
    FILE* out = fdopen(fd_of("out=", 5), "w");
    auto top = std::make_unique<Vtop>();
    uint64_t time = 0;
#if VM_TRACE_FST
    Verilated::traceEverOn(true);
    VerilatedFstC waves;
    const char* file = Verilated::commandArgsPlusMatch("trace=");
    if (*file) {
        top->trace(&waves, 99);
        waves.open(file + 7);
    }
#endif
    const auto step = [&](int level) {
        top->clk = level;
        top->eval();
#if VM_TRACE_FST
        if (waves.isOpen()) waves.dump(time);
#endif
        time++;
    };
    step(0);
    unsigned op, address;
    uint64_t value;
    while (fscanf(in, "%u %u %" SCNu64, &op, &address, &value) == 3) {
        top->op = op;
        top->address = address;
        top->value = value;
        top->request = top->request + 1;
        while (top->response != top->request && !Verilated::gotFinish()) {
            step(1);
            step(0);
        }
        fprintf(out, "%u %" PRIu64 " %" PRIu64 "\n", top->result, (uint64_t)top->answer, (uint64_t)top->cycle);
        fflush(out);
    }
    top->final();
#if VM_TRACE_FST
    waves.close();
#endif
    return 0;
}
