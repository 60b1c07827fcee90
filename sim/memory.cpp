// AXI4 memory model, AXI4-Lite master and reset, called once per rising edge through DPI-C.
//
// Every call sees the accelerator's outputs and this model's own outputs as they were before
// the edge, and returns this model's outputs for the time after it. Memory is a file mapped
// MAP_SHARED, which the host maps too, so that no bytes are copied.
//
// Timing: a read burst's first word comes `latency` cycles after its address was taken, a write
// response `latency` cycles after its last word; bursts are answered in order. Every beat takes
// its 8 bytes out of one bucket, filled with `bandwidth` bytes a cycle (16.16 fixed point) and
// shared by both directions, which take turns. Stalls are random with a probability per channel.
//
// A broken AXI rule ends the simulation: message on stderr, exit status 3.
#include "memory.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "svdpi.h"
#include "verilated.h"

namespace {

constexpr uint32_t STATUS = 0x0C, RUNNING = 1;
constexpr size_t OUTSTANDING = 32;        // bursts held per direction
constexpr uint64_t POLL = 256;            // cycles between reads of STATUS while waiting
constexpr int64_t ONE = 1 << 16;          // one byte of the bucket
constexpr int64_t BEAT = 8 * ONE, BUCKET = 16 * ONE;
constexpr uint64_t NEVER = ~0ull;

enum Fault : uint32_t { FAULT_NONE = 0, FAULT_SLVERR = 2, FAULT_DECERR = 3, FAULT_SILENT = 4 };
// Settings of OP_SET; sim/device.py has the same numbers.
enum Key : uint32_t {
    LATENCY = 0, BANDWIDTH = 1, SEED = 2, STALL_AR = 3, STALL_R = 4, STALL_AW = 5, STALL_W = 6, STALL_B = 7,
    FAULT_LOW = 8, FAULT_HIGH = 9, FAULT_KIND = 10, KEYS = 11,
    READ_BYTES = 16, WRITE_BYTES = 17,    // OP_GET only
};

struct Burst {
    uint32_t address, beats, size, id, fault;
    uint64_t ready;    // cycle from which it may be answered
    uint32_t done = 0;
};

struct Model {
    uint8_t* bytes = nullptr;
    uint64_t size = 0;
    uint64_t settings[KEYS] = {40, 8 * ONE, 1};
    uint64_t cycle = 0, random = 0, read_bytes = 0, written_bytes = 0;
    int64_t tokens = BUCKET;
    bool write_turn = false;
    std::deque<Burst> reads, writes, responses;
    // The accelerator's last offer on each channel, which must hold until it is taken.
    uint64_t ar = 0, aw = 0, w = 0;
    uint32_t w_strobe = 0;
    bool ar_held = false, aw_held = false, w_held = false;
    // Mailbox and AXI4-Lite.
    uint32_t reset = 8, op = 0, last_request = 0, phase = 0;
    uint64_t limit = 0, next_poll = 0, waited = 0;
    bool b_held = false, r_held = false;
    uint64_t s_r = 0;
    uint32_t s_b = 0;
} m;

[[noreturn]] void die(const char* format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "simulator: cycle %llu: ", (unsigned long long)m.cycle);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    fflush(stderr);
    Verilated::runFlushCallbacks();    // closes the waves
    _exit(3);
}

std::string plus(const char* name) {
    const char* found = Verilated::commandArgsPlusMatch(name);
    return *found ? std::string(found + 1 + strlen(name)) : std::string();
}

void start() {
    const std::string path = plus("memory=");
    if (path.empty()) die("no +memory=FILE");
    const int fd = open(path.c_str(), O_RDWR);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) die("cannot open memory file");
    m.size = st.st_size;
    m.bytes = (uint8_t*)mmap(nullptr, m.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m.bytes == MAP_FAILED) die("cannot map memory file");
    close(fd);
}

bool stall(uint32_t key) {    // probability settings[key] / 256
    if (!m.settings[key]) return false;
    m.random ^= m.random << 13;
    m.random ^= m.random >> 7;
    m.random ^= m.random << 17;
    return ((m.random >> 24) & 255) < m.settings[key];
}

uint32_t fault_of(uint32_t address, uint32_t beats, uint32_t size) {
    const uint64_t low = address, high = low + ((uint64_t)beats << size);
    if (m.settings[FAULT_KIND] && low < m.settings[FAULT_HIGH] && high > m.settings[FAULT_LOW])
        return m.settings[FAULT_KIND];
    return high > m.size ? (uint32_t)FAULT_DECERR : (uint32_t)FAULT_NONE;
}

uint64_t pack_address(uint32_t address, uint32_t len, uint32_t size, uint32_t burst, uint32_t id) {
    return (uint64_t)address | (uint64_t)len << 32 | (uint64_t)size << 40 | (uint64_t)burst << 44 | (uint64_t)id << 48;
}

// valid may not fall, nor the payload change, before ready.
void hold(const char* channel, bool& held, uint64_t& last, bool valid, bool ready, uint64_t payload) {
    if (held && !valid) die("AXI: %s: valid fell before ready", channel);
    if (held && payload != last) die("AXI: %s: payload changed while waiting", channel);
    held = valid && !ready;
    last = payload;
}

void check_burst(const char* channel, uint32_t address, uint32_t len, uint32_t size, uint32_t burst) {
    if (size > 3) die("AXI: %s: size %u is wider than the bus", channel, size);
    if (burst != 1 && len) die("AXI: %s: burst type %u; this memory serves INCR only", channel, burst);
    const uint32_t bytes = ((len + 1) << size) - (address & ((1u << size) - 1));
    if ((address & 4095) + bytes > 4096)
        die("AXI: %s: burst of %u bytes at 0x%08x crosses a 4 KiB boundary", channel, bytes, address);
}

uint32_t beat_address(const Burst& b) {
    const uint32_t mask = (1u << b.size) - 1;
    return b.done ? ((b.address & ~mask) + (b.done << b.size)) : b.address;
}

}  // namespace

// One rising edge. Inputs: before the edge; outputs: after it.
extern "C" void sim_cycle(
    // AXI4 from the accelerator
    svBit arvalid, uint32_t araddr, uint32_t arlen, uint32_t arsize, uint32_t arburst, uint32_t arid, svBit rready,
    svBit awvalid, uint32_t awaddr, uint32_t awlen, uint32_t awsize, uint32_t awburst, uint32_t awid,
    svBit wvalid, uint64_t wdata, uint32_t wstrb, svBit wlast, svBit bready,
    // AXI4 to the accelerator
    svBit* arready, svBit* rvalid, uint64_t* rdata, uint32_t* rresp, svBit* rlast, uint32_t* rid,
    svBit* awready, svBit* wready, svBit* bvalid, uint32_t* bresp, uint32_t* bid,
    // AXI4-Lite from the accelerator
    svBit s_awready, svBit s_wready, svBit s_bvalid, uint32_t s_bresp,
    svBit s_arready, svBit s_rvalid, uint32_t s_rdata, uint32_t s_rresp, svBit interrupt,
    // AXI4-Lite to the accelerator
    svBit* s_awvalid, uint32_t* s_awaddr, svBit* s_wvalid, uint32_t* s_wdata, svBit* s_bready,
    svBit* s_arvalid, uint32_t* s_araddr, svBit* s_rready, svBit* rst,
    // Mailbox: a change of `request` posts an operation, `response` follows when it is done
    uint32_t request, uint32_t op, uint32_t address, uint64_t value,
    uint32_t* response, uint32_t* result, uint64_t* answer, uint64_t* cycle) {

    if (!m.bytes) start();
    m.cycle++;
    *cycle = m.cycle;
    if (!m.random) m.random = m.settings[SEED] * 0x9E3779B97F4A7C15ull | 1;

    // ---- reset: nothing is taken or offered ----
    if (m.reset) {
        m.reset--;
        m.reads.clear(), m.writes.clear(), m.responses.clear();
        m.ar_held = m.aw_held = m.w_held = m.b_held = m.r_held = false;
        m.tokens = BUCKET;
        *arready = *rvalid = *awready = *wready = *bvalid = 0;
        *s_awvalid = *s_wvalid = *s_arvalid = *s_bready = *s_rready = 0;
        *rst = m.reset != 0;
        if (m.reset == 0 && m.op == OP_RESET) {
            m.op = OP_NOP;
            *result = RESULT_OK, *response = m.last_request;
        }
        return;
    }

    // ---- AXI4: what moved at this edge ----
    m.tokens += m.settings[BANDWIDTH];
    if (m.tokens > BUCKET) m.tokens = BUCKET;
    hold("AR", m.ar_held, m.ar, arvalid, *arready, pack_address(araddr, arlen, arsize, arburst, arid));
    hold("AW", m.aw_held, m.aw, awvalid, *awready, pack_address(awaddr, awlen, awsize, awburst, awid));
    {
        const bool held = m.w_held;
        if (held && wvalid && m.w_strobe != (wstrb | (uint32_t)wlast << 8)) die("AXI: W: strobe or last changed while waiting");
        hold("W", m.w_held, m.w, wvalid, *wready, wdata);
        m.w_strobe = wstrb | (uint32_t)wlast << 8;
    }
    if (arvalid && *arready) {
        check_burst("AR", araddr, arlen, arsize, arburst);
        m.reads.push_back({araddr, arlen + 1, arsize, arid, fault_of(araddr, arlen + 1, arsize),
                           m.cycle + m.settings[LATENCY] - 1});
    }
    if (awvalid && *awready) {
        check_burst("AW", awaddr, awlen, awsize, awburst);
        m.writes.push_back({awaddr, awlen + 1, awsize, awid, fault_of(awaddr, awlen + 1, awsize), 0});
    }
    if (*rvalid && rready) *rvalid = 0;
    if (*bvalid && bready) *bvalid = 0;
    if (wvalid && *wready) {
        Burst& b = m.writes.front();
        const uint32_t at = beat_address(b), lanes = 1u << b.size;
        const uint32_t first = at & 7, past = (first & ~(lanes - 1)) + lanes;
        if (wstrb & ~(((1u << past) - 1) & ~((1u << first) - 1)))
            die("AXI: W: strobe 0x%02x outside the lanes of address 0x%08x", wstrb, at);
        if (b.fault == FAULT_NONE)
            for (uint32_t i = 0; i < 8; i++)
                if (wstrb >> i & 1) m.bytes[(at & ~7u) + i] = wdata >> 8 * i;
        m.written_bytes += __builtin_popcount(wstrb);
        m.tokens -= BEAT;
        b.done++;
        if (wlast != (b.done == b.beats))
            die("AXI: W: last is %d at word %u of a burst of %u", wlast, b.done, b.beats);
        if (b.done == b.beats) {
            b.ready = b.fault == FAULT_SILENT ? NEVER : m.cycle + m.settings[LATENCY] - 1;
            m.responses.push_back(b);
            m.writes.pop_front();
        }
    }

    // ---- AXI4: what is offered next ----
    const bool can_read = !*rvalid && !m.reads.empty() && m.reads.front().fault != FAULT_SILENT
                          && m.cycle >= m.reads.front().ready;
    const bool can_write = !m.writes.empty();
    const bool budget = m.tokens >= BEAT;
    bool read = can_read && budget && !stall(STALL_R);
    const bool wants_write = can_write && wvalid;
    if (read && wants_write) {
        // Both want the one beat the bucket holds: they take turns. With room for two, both go.
        if (m.tokens < 2 * BEAT && m.write_turn) read = false;
        m.write_turn = !m.write_turn;
    }
    if (read) {
        Burst& b = m.reads.front();
        const uint32_t at = beat_address(b) & ~7u;
        *rdata = 0;
        if (b.fault == FAULT_NONE) memcpy(rdata, m.bytes + at, 8);
        *rvalid = 1;
        *rresp = b.fault;
        *rid = b.id;
        m.read_bytes += 1u << b.size;
        m.tokens -= BEAT;
        *rlast = ++b.done == b.beats;
        if (*rlast) m.reads.pop_front();
    }
    *wready = can_write && m.tokens >= BEAT && !stall(STALL_W);
    if (!*bvalid && !m.responses.empty() && m.cycle >= m.responses.front().ready && !stall(STALL_B)) {
        const Burst& b = m.responses.front();
        *bvalid = 1;
        *bresp = b.fault;
        *bid = b.id;
        m.responses.pop_front();
    }
    *arready = m.reads.size() < OUTSTANDING && !stall(STALL_AR);
    *awready = m.writes.size() + m.responses.size() < OUTSTANDING && !stall(STALL_AW);

    // ---- AXI4-Lite and the mailbox ----
    if (m.b_held && (!s_bvalid || s_bresp != m.s_b)) die("AXI4-Lite: B changed before ready");
    if (m.r_held && (!s_rvalid || ((uint64_t)s_rdata << 2 | s_rresp) != m.s_r)) die("AXI4-Lite: R changed before ready");
    m.b_held = s_bvalid && !*s_bready, m.s_b = s_bresp;
    m.r_held = s_rvalid && !*s_rready, m.s_r = (uint64_t)s_rdata << 2 | s_rresp;
    if (*s_awvalid && s_awready) *s_awvalid = 0;
    if (*s_wvalid && s_wready) *s_wvalid = 0;
    if (*s_arvalid && s_arready) *s_arvalid = 0;
    const bool got_b = *s_bready && s_bvalid, got_r = *s_rready && s_rvalid;
    if (got_b) *s_bready = 0;
    if (got_r) *s_rready = 0;

    const auto finish = [&](uint32_t code, uint64_t what) {
        m.op = OP_NOP;
        *result = code, *answer = what, *response = m.last_request;
    };
    const auto start_read = [&](uint32_t a) { *s_arvalid = 1, *s_araddr = a, *s_rready = 1; };

    switch (m.op) {
    case OP_READ:
        if (got_r) finish(s_rresp ? RESULT_BUS_ERROR : RESULT_OK, s_rdata);
        break;
    case OP_WRITE:
        if (got_b) finish(s_bresp ? RESULT_BUS_ERROR : RESULT_OK, 0);
        break;
    case OP_WAIT:
        m.waited++;
        if (m.phase) {    // a read of STATUS is under way: it ends before anything else may
            if (!got_r) break;
            m.phase = 0;
            m.next_poll = m.waited + POLL;
            if (s_rresp) { finish(RESULT_BUS_ERROR, 0); break; }
            if ((s_rdata & 255) != RUNNING) { finish(RESULT_OK, s_rdata); break; }
        }
        if (interrupt) finish(RESULT_OK, 1);
        else if (m.waited >= m.limit) finish(RESULT_TIMEOUT, 0);
        else if (m.waited >= m.next_poll) start_read(STATUS), m.phase = 1;
        break;
    default:
        break;
    }
    if (m.op == OP_NOP && request != m.last_request) {
        m.last_request = request;
        m.op = op;
        switch (op) {
        case OP_READ: start_read(address); break;
        case OP_WRITE:
            *s_awvalid = *s_wvalid = *s_bready = 1, *s_awaddr = address, *s_wdata = value;
            break;
        case OP_WAIT: m.waited = 0, m.limit = value, m.phase = 0, m.next_poll = 1; break;
        case OP_SET:
            if (address >= KEYS) die("no setting %u", address);
            m.settings[address] = value;
            if (address == SEED) m.random = 0;
            finish(RESULT_OK, 0);
            break;
        case OP_GET:
            finish(RESULT_OK, address == READ_BYTES ? m.read_bytes : address == WRITE_BYTES ? m.written_bytes
                              : address < KEYS ? m.settings[address] : 0);
            break;
        case OP_RESET: m.reset = 8, *rst = 1; break;
        default: finish(RESULT_OK, 0); break;
        }
    }
}
