// A board's pins: clock, reset, and a serial line that ends in a pseudo-terminal.
//
//   simulator CYCLES_PER_BIT [+NAME ...]    (a number with a fraction, 4 or more; for $test$plusargs of the design)
//
// Prints the terminal's path, then obeys lines on stdin, each answered by one line of counts:
//   faults FLIP DROP DOUBLE SEED   probabilities, for each byte that passes, either way
//   reset CYCLES                   the board's reset, in so many cycles from now
//   run CYCLES                     the clock runs for so many cycles, whatever the line does; answered after them
//   counts
// and with an SDRAM, from then on:
//   stuck_data BIT LEVEL           DQ of that number stays at 0 or 1
//   joined_data BIT BIT            two DQ carry the AND of both
//   stuck_address BIT LEVEL        A, where it is a row's or a column's
//   joined_address BIT BIT
//   forget ADDRESS NS              two bytes at a byte address are 0 once their row was closed for so long
//   whole                          none of these
// End of file ends it. Counts are: cycles, bytes to the board, bytes from it, bytes damaged.
//
// The clock runs as fast as it can while bytes move, and slowly when none has for a while.
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <random>
#include <string>
#include <termios.h>
#include <unistd.h>

#include "Vtop.h"
#include "verilated.h"
#ifdef SDRAM
#include "sdram_model.h"
#endif

double sc_time_stamp() { return 0; }

namespace {

constexpr int CHUNK = 64;              // cycles between looks at the terminal
constexpr uint64_t QUIET = 1 << 16;    // cycles without a bit before the clock may slow down
constexpr int RESET_CYCLES = 16;

std::mt19937_64 random_bits(1);
double flip = 0, drop = 0, twice = 0;
uint64_t cycle = 0, bytes_in = 0, bytes_out = 0, damaged = 0;

bool happens(double p) {
    const bool yes = p > 0 && std::uniform_real_distribution<>(0, 1)(random_bits) < p;
    damaged += yes;
    return yes;
}

// Bytes to the board, bit by bit. Positions are in cycles, a fraction included.
struct Sender {
    double bit;
    std::deque<uint8_t> queue;
    uint32_t frame = 0x3FF;            // start bit first
    double at = 0;                     // cycles into the frame
    bool active = false;

    void push(uint8_t byte) {
        bytes_in++;
        if (happens(drop)) return;
        queue.push_back(byte);
        if (happens(twice)) queue.push_back(byte);
    }
    int next() {
        if (!active) {
            if (queue.empty()) return 1;
            frame = (uint32_t)queue.front() << 1 | 0x200;
            queue.pop_front();
            if (happens(flip)) frame ^= 1u << random_bits() % 10;   // start and stop bits too
            active = true;
        }
        const int level = frame >> (int)(at / bit) & 1;
        at += 1;
        if (at >= 10 * bit) at -= 10 * bit, active = false;
        return level;
    }
};

// Bits from the board, sampled in their middle.
struct Receiver {
    double bit;
    std::string out;                   // for the terminal
    bool active = false;
    double next = 0;
    int count = 0;
    uint32_t frame = 0;

    void put(uint8_t byte) {
        bytes_out++;
        if (happens(drop)) return;
        if (happens(flip)) byte ^= 1u << random_bits() % 8;
        out.push_back((char)byte);
        if (happens(twice)) out.push_back((char)byte);
    }
    void take(int level) {
        if (!active) {
            if (level) return;
            active = true, next = bit / 2 - 1, count = 0, frame = 0;
            return;
        }
        if ((next -= 1) >= 0) return;
        next += bit;
        frame |= (uint32_t)level << count++;
        if (count < 10) return;
        active = false;
        if (frame >> 9 & 1) put(frame >> 1 & 255);   // a board that was reset may break a byte off
    }
};

int open_terminal() {
    const int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || grantpt(fd) || unlockpt(fd)) {
        perror("simulator: pseudo-terminal");
        exit(2);
    }
    // Our own handle on the other side keeps the terminal alive between hosts.
    const int other = open(ptsname(fd), O_RDWR | O_NOCTTY);
    termios t;
    tcgetattr(other, &t);
    cfmakeraw(&t);
    tcsetattr(other, TCSANOW, &t);
    return fd;
}

#ifdef SDRAM
// Obeys a command that breaks the part.
void damage(const char* line, SdramFaults& faults) {
    unsigned long long at;
    unsigned bit, other;
    double ns;
    if (sscanf(line, "stuck_data %u %u", &bit, &other) == 2)
        faults.data_stuck |= 1 << bit, faults.data_level |= other << bit;
    else if (sscanf(line, "joined_data %u %u", &bit, &other) == 2)
        faults.data_joined = 1 << bit | 1 << other;
    else if (sscanf(line, "stuck_address %u %u", &bit, &other) == 2)
        faults.address_stuck |= 1 << bit, faults.address_level |= other << bit;
    else if (sscanf(line, "joined_address %u %u", &bit, &other) == 2)
        faults.address_joined = 1 << bit | 1 << other;
    else if (sscanf(line, "forget %llu %lf", &at, &ns) == 2)
        faults.weak = at / 2, faults.weak_ns = ns;
    else if (!strncmp(line, "whole", 5))
        faults = {};
}
#endif

void answer() {
    printf("%llu %llu %llu %llu\n", (unsigned long long)cycle, (unsigned long long)bytes_in,
           (unsigned long long)bytes_out, (unsigned long long)damaged);
    fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    const double bit = argc > 1 ? atof(argv[1]) : 0;
    if (bit < 4) {
        fprintf(stderr, "simulator: cycles per bit: 4 or more\n");
        return 2;
    }
    Verilated::commandArgs(argc, argv);
    const int terminal = open_terminal();
    printf("%s\n", ptsname(terminal));
    fflush(stdout);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);

    auto top = std::make_unique<Vtop>();
#ifdef SDRAM
    SdramModel sdram(SdramTimes SDRAM);
#endif
    Sender sender{bit};
    Receiver receiver{bit};
    std::string commands;
    uint64_t reset_at = 0, run_to = 0, moved = 0;
    auto moved_time = std::chrono::steady_clock::now();
    bool slow = false;
    for (;;) {
        // ---- the world outside ----
        pollfd fds[2] = {{0, POLLIN, 0}, {terminal, POLLIN, 0}};
        if (slow || cycle % (16 * CHUNK) == 0) {
            poll(fds, 2, slow ? 20 : 0);
            char line[512];
            const ssize_t n = read(0, line, sizeof line);
            if (n == 0) break;
            if (n > 0) commands.append(line, n);
            for (size_t end; (end = commands.find('\n')) != std::string::npos; commands.erase(0, end + 1)) {
                unsigned long long value;
                if (sscanf(commands.c_str(), "faults %lf %lf %lf %llu", &flip, &drop, &twice, &value) == 4)
                    random_bits.seed(value);
                else if (sscanf(commands.c_str(), "reset %llu", &value) == 1)
                    reset_at = cycle + value + 1;
                else if (sscanf(commands.c_str(), "run %llu", &value) == 1)
                    run_to = cycle + value + 1;
#ifdef SDRAM
                else
                    damage(commands.c_str(), sdram.faults);
#endif
                if (!run_to) answer();
            }
        }
        if (run_to && cycle >= run_to) run_to = 0, answer();
        if (sender.queue.empty() && cycle) {    // the board is in reset at first
            uint8_t raw[4096];
            const ssize_t n = read(terminal, raw, sizeof raw);
            for (ssize_t i = 0; i < n; i++) sender.push(raw[i]);
        }
        if (!receiver.out.empty()) {
            const ssize_t n = write(terminal, receiver.out.data(), receiver.out.size());
            if (n > 0) receiver.out.erase(0, n);
        }
        const auto now = std::chrono::steady_clock::now();
        if (sender.active || receiver.active || !sender.queue.empty()) moved = cycle, moved_time = now;
        slow = !run_to && cycle - moved > QUIET && now - moved_time > std::chrono::milliseconds(100);

        // ---- the board ----
        for (int i = 0; i < CHUNK; i++) {
            top->rst = cycle < RESET_CYCLES || (reset_at && cycle >= reset_at && cycle < reset_at + RESET_CYCLES);
            top->rx = sender.next();
            top->clk = 1;
            top->eval();
#ifdef SDRAM
            const SdramPins pins{top->sdram_cke, top->sdram_cs_n, top->sdram_ras_n, top->sdram_cas_n, top->sdram_we_n,
                                 top->sdram_ba, top->sdram_a, top->sdram_dqm, top->sdram_dq_o, top->sdram_dq_oe};
            uint16_t dq;
            const char* what = sdram.clock(pins, dq);
            top->sdram_dq_i = dq;
            if (what) {
                fprintf(stderr, "simulator: cycle %llu: SDRAM: %s\n", (unsigned long long)cycle, what);
                return 3;
            }
#endif
            top->clk = 0;
            top->eval();
            receiver.take(top->tx);
            cycle++;
        }
    }
    top->final();
    return 0;
}
