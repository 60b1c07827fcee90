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

// The outputs as they are before the edge; sim_cycle updates them.
struct Outputs {
    svBit arready = 0;
    svBit rvalid = 0;
    uint64_t rdata = 0;
    uint32_t rresp = 0;
    svBit rlast = 0;
    uint32_t rid = 0;
    svBit awready = 0;
    svBit wready = 0;
    svBit bvalid = 0;
    uint32_t bresp = 0;
    uint32_t bid = 0;
    svBit s_awvalid = 0;
    uint32_t s_awaddr = 0;
    svBit s_wvalid = 0;
    uint32_t s_wdata = 0;
    svBit s_bready = 0;
    svBit s_arvalid = 0;
    uint32_t s_araddr = 0;
    svBit s_rready = 0;
    svBit rst = 1;
    uint32_t response = 0;
    uint32_t result = 0;
    uint64_t answer = 0;
    uint64_t cycle = 0;
} o;

}  // namespace

// One rising edge: the accelerator's outputs before it in, `o` updated.
static void edge(
    svBit arvalid, uint32_t araddr, uint32_t arlen, uint32_t arsize, uint32_t arburst, uint32_t arid, svBit
    rready, svBit awvalid, uint32_t awaddr, uint32_t awlen, uint32_t awsize, uint32_t awburst, uint32_t awid,
    svBit wvalid, uint64_t wdata, uint32_t wstrb, svBit wlast, svBit bready, svBit s_awready, svBit s_wready,
    svBit s_bvalid, uint32_t s_bresp, svBit s_arready, svBit s_rvalid, uint32_t s_rdata, uint32_t s_rresp, svBit
    interrupt, uint32_t request, uint32_t op, uint32_t address, uint64_t value) {
    if (!m.bytes) start();
    m.cycle++;
    o.cycle = m.cycle;
    if (!m.random) m.random = m.settings[SEED] * 0x9E3779B97F4A7C15ull | 1;

    // ---- reset: nothing is taken or offered ----
    if (m.reset) {
        m.reset--;
        m.reads.clear(), m.writes.clear(), m.responses.clear();
        m.ar_held = m.aw_held = m.w_held = m.b_held = m.r_held = false;
        m.tokens = BUCKET;
        o.arready = o.rvalid = o.awready = o.wready = o.bvalid = 0;
        o.s_awvalid = o.s_wvalid = o.s_arvalid = o.s_bready = o.s_rready = 0;
        o.rst = m.reset != 0;
        if (m.reset == 0 && m.op == OP_RESET) {
            m.op = OP_NOP;
            o.result = RESULT_OK, o.response = m.last_request;
        }
        return;
    }

    // ---- AXI4: what moved at this edge ----
    m.tokens += m.settings[BANDWIDTH];
    if (m.tokens > BUCKET) m.tokens = BUCKET;
    hold("AR", m.ar_held, m.ar, arvalid, o.arready, pack_address(araddr, arlen, arsize, arburst, arid));
    hold("AW", m.aw_held, m.aw, awvalid, o.awready, pack_address(awaddr, awlen, awsize, awburst, awid));
    {
        const bool held = m.w_held;
        if (held && wvalid && m.w_strobe != (wstrb | (uint32_t)wlast << 8)) die("AXI: W: strobe or last changed while waiting");
        hold("W", m.w_held, m.w, wvalid, o.wready, wdata);
        m.w_strobe = wstrb | (uint32_t)wlast << 8;
    }
    if (arvalid && o.arready) {
        check_burst("AR", araddr, arlen, arsize, arburst);
        m.reads.push_back({araddr, arlen + 1, arsize, arid, fault_of(araddr, arlen + 1, arsize),
                           m.cycle + m.settings[LATENCY] - 1});
    }
    if (awvalid && o.awready) {
        check_burst("AW", awaddr, awlen, awsize, awburst);
        m.writes.push_back({awaddr, awlen + 1, awsize, awid, fault_of(awaddr, awlen + 1, awsize), 0});
    }
    if (o.rvalid && rready) o.rvalid = 0;
    if (o.bvalid && bready) o.bvalid = 0;
    if (wvalid && o.wready) {
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
    const bool can_read = !o.rvalid && !m.reads.empty() && m.reads.front().fault != FAULT_SILENT
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
        o.rdata = 0;
        if (b.fault == FAULT_NONE) memcpy(&o.rdata, m.bytes + at, 8);
        o.rvalid = 1;
        o.rresp = b.fault;
        o.rid = b.id;
        m.read_bytes += 1u << b.size;
        m.tokens -= BEAT;
        o.rlast = ++b.done == b.beats;
        if (o.rlast) m.reads.pop_front();
    }
    o.wready = can_write && m.tokens >= BEAT && !stall(STALL_W);
    if (!o.bvalid && !m.responses.empty() && m.cycle >= m.responses.front().ready && !stall(STALL_B)) {
        const Burst& b = m.responses.front();
        o.bvalid = 1;
        o.bresp = b.fault;
        o.bid = b.id;
        m.responses.pop_front();
    }
    o.arready = m.reads.size() < OUTSTANDING && !stall(STALL_AR);
    o.awready = m.writes.size() + m.responses.size() < OUTSTANDING && !stall(STALL_AW);

    // ---- AXI4-Lite and the mailbox ----
    if (m.b_held && (!s_bvalid || s_bresp != m.s_b)) die("AXI4-Lite: B changed before ready");
    if (m.r_held && (!s_rvalid || ((uint64_t)s_rdata << 2 | s_rresp) != m.s_r)) die("AXI4-Lite: R changed before ready");
    m.b_held = s_bvalid && !o.s_bready, m.s_b = s_bresp;
    m.r_held = s_rvalid && !o.s_rready, m.s_r = (uint64_t)s_rdata << 2 | s_rresp;
    if (o.s_awvalid && s_awready) o.s_awvalid = 0;
    if (o.s_wvalid && s_wready) o.s_wvalid = 0;
    if (o.s_arvalid && s_arready) o.s_arvalid = 0;
    const bool got_b = o.s_bready && s_bvalid, got_r = o.s_rready && s_rvalid;
    if (got_b) o.s_bready = 0;
    if (got_r) o.s_rready = 0;

    const auto finish = [&](uint32_t code, uint64_t what) {
        m.op = OP_NOP;
        o.result = code, o.answer = what, o.response = m.last_request;
    };
    const auto start_read = [&](uint32_t a) { o.s_arvalid = 1, o.s_araddr = a, o.s_rready = 1; };

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
            o.s_awvalid = o.s_wvalid = o.s_bready = 1, o.s_awaddr = address, o.s_wdata = value;
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
        case OP_RESET: m.reset = 8, o.rst = 1; break;
        default: finish(RESULT_OK, 0); break;
        }
    }
}

// One rising edge. Inputs: before the edge; outputs: after it.
extern "C" void sim_cycle(
    // AXI4 from the accelerator
    svBit arvalid, uint32_t araddr, uint32_t arlen, uint32_t arsize, uint32_t arburst, uint32_t arid, svBit rready,
    svBit awvalid, uint32_t awaddr, uint32_t awlen, uint32_t awsize, uint32_t awburst, uint32_t awid,
    svBit wvalid, uint64_t wdata, uint32_t wstrb, svBit wlast, svBit bready,
    // AXI4 to the accelerator
    svBit* to_arready, svBit* to_rvalid, uint64_t* to_rdata, uint32_t* to_rresp, svBit* to_rlast, uint32_t* to_rid,
    svBit* to_awready, svBit* to_wready, svBit* to_bvalid, uint32_t* to_bresp, uint32_t* to_bid,
    // AXI4-Lite from the accelerator
    svBit s_awready, svBit s_wready, svBit s_bvalid, uint32_t s_bresp,
    svBit s_arready, svBit s_rvalid, uint32_t s_rdata, uint32_t s_rresp, svBit interrupt,
    // AXI4-Lite to the accelerator
    svBit* to_s_awvalid, uint32_t* to_s_awaddr, svBit* to_s_wvalid, uint32_t* to_s_wdata, svBit* to_s_bready,
    svBit* to_s_arvalid, uint32_t* to_s_araddr, svBit* to_s_rready, svBit* to_rst,
    // Mailbox: a change of `request` posts an operation, `response` follows when it is done
    uint32_t request, uint32_t op, uint32_t address, uint64_t value,
    uint32_t* to_response, uint32_t* to_result, uint64_t* to_answer, uint64_t* to_cycle) {

    edge(arvalid, araddr, arlen, arsize, arburst, arid, rready, awvalid, awaddr, awlen, awsize, awburst, awid,
        wvalid, wdata, wstrb, wlast, bready, s_awready, s_wready, s_bvalid, s_bresp, s_arready, s_rvalid,
        s_rdata, s_rresp, interrupt, request, op, address, value);
    *to_arready = o.arready;
    *to_rvalid = o.rvalid;
    *to_rdata = o.rdata;
    *to_rresp = o.rresp;
    *to_rlast = o.rlast;
    *to_rid = o.rid;
    *to_awready = o.awready;
    *to_wready = o.wready;
    *to_bvalid = o.bvalid;
    *to_bresp = o.bresp;
    *to_bid = o.bid;
    *to_s_awvalid = o.s_awvalid;
    *to_s_awaddr = o.s_awaddr;
    *to_s_wvalid = o.s_wvalid;
    *to_s_wdata = o.s_wdata;
    *to_s_bready = o.s_bready;
    *to_s_arvalid = o.s_arvalid;
    *to_s_araddr = o.s_araddr;
    *to_s_rready = o.s_rready;
    *to_rst = o.rst;
    *to_response = o.response;
    *to_result = o.result;
    *to_answer = o.answer;
    *to_cycle = o.cycle;
}
