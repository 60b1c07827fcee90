// A 16-bit SDR SDRAM of four banks that watches its data sheet: times in ns, from the pins alone.
//
// One call a clock cycle with what is on the pins in it; the part takes them at the cycle's end. The words of
// a READ are on the pins from the CAS latency on. It knows what an orderly controller uses: bursts of
// four, no automatic precharge, no burst cut short. Anything else is a violation, as is a broken time.
#pragma once
#include <cstdint>
#include <cstdio>
#include <vector>

struct SdramTimes {
    int row_bits, column_bits;
    double period, rcd, rp, ras, rc, rrd, rfc, wr;
    int mrd;                  // cycles
    double refresh, init;     // ns: between two REFRESH on the average; before the first command
    double fastest2;          // ns: the shortest period at CAS latency 2
};

struct SdramPins {
    int cke, cs_n, ras_n, cas_n, we_n, ba, a, dqm, dq_o, dq_oe;
};

// A part or a board that is broken, on purpose. Masks are of pins: DQ, and A while it takes a row or a column.
struct SdramFaults {
    uint16_t data_stuck = 0, data_level = 0;     // DQ that stay at a level
    uint16_t data_joined = 0;                    // DQ that all carry the AND of them
    int address_stuck = 0, address_level = 0, address_joined = 0;
    int64_t weak = -1;        // a cell of 16 bits that is all 0 once its row was closed for `weak_ns`
    double weak_ns = 0;
};

class SdramModel {
public:
    SdramFaults faults;

    explicit SdramModel(SdramTimes times)
        : t(times), cells(4ull << (times.row_bits + times.column_bits)) {}

    // The violation in this cycle, or null. `dq` is what the part drives, rubbish where it does not.
    const char* clock(const SdramPins& p, uint16_t& dq) {
        now++;
        violation[0] = 0;
        const double ns = now * t.period;
        dq = 0xA5A5 ^ (uint16_t)(now * 0x9E37);

        // ---- words on the bus ----
        bool drives = false;
        for (const Burst& r : reads) {   // the last may begin before the words of the one before are out
            const int64_t i = now - r.from - cas;
            if (i < 0 || i >= 4) continue;
            drives = true;
            if (!(dqm_before[1] & 1)) dq = (dq & 0xFF00) | (cells[r.cell + i] & 0x00FF);
            if (!(dqm_before[1] & 2)) dq = (dq & 0x00FF) | (cells[r.cell + i] & 0xFF00);
        }
        dq = through(dq, faults.data_joined, faults.data_stuck, faults.data_level);
        if (p.dq_oe && (drives || drove)) bad("data bus driven by both, or without a cycle between");
        drove = drives;
        dqm_before[1] = dqm_before[0], dqm_before[0] = p.dqm;

        // ---- commands ----
        if (!p.cke) bad("CKE is low");
        const int code = p.cs_n ? 7 : p.ras_n << 2 | p.cas_n << 1 | p.we_n;
        if (code != 7) {
            if (ns < t.init) bad("command before the part is ready");
            if (now < mode_at + t.mrd) bad("tMRD after LOAD MODE REGISTER");
            if (ns - refresh_at < t.rfc - EPS) bad("tRFC after REFRESH");
        }
        Bank& b = bank[p.ba];
        const bool burst_read = now < reads[0].from + 4, burst_write = now < write.from + 4;
        switch (code) {
        case 3:  // ACTIVE
            if (!ready) bad("ACTIVE before the mode is set");
            if (b.open) bad("ACTIVE of an open bank");
            if (ns - b.closed_at < t.rp - EPS) bad("tRP before ACTIVE");
            if (ns - b.opened_at < t.rc - EPS) bad("tRC before ACTIVE");
            if (ns - active_at < t.rrd - EPS) bad("tRRD before ACTIVE");
            b.open = true, b.row = address(p), b.opened_at = active_at = ns;
            if (weak_row() == (b.row << 2 | p.ba) && ns - weak_closed_at > faults.weak_ns) cells[faults.weak] = 0;
            break;
        case 5:  // READ
        case 4:  // WRITE
            if (!b.open) bad("access to a closed bank");
            if (ns - b.opened_at < t.rcd - EPS) bad("tRCD before an access");
            if (p.a >> 10 & 1) bad("automatic precharge");
            if (burst_read || burst_write) bad("burst cut short");
            if (p.a & 3) bad("burst does not begin at a multiple of four");
            if (code == 5) {
                reads[1] = reads[0];
                reads[0] = {now, cell(p), p.ba};
            } else {
                if (!p.dq_oe) bad("WRITE without data");
                write = {now, cell(p), p.ba};
            }
            break;
        case 2:  // PRECHARGE
            for (int i = 0; i < 4; i++) {
                if (!(p.a >> 10 & 1) && i != p.ba) continue;
                if (!bank[i].open) { bank[i].closed_at = ns; continue; }
                if (ns - bank[i].opened_at < t.ras - EPS) bad("tRAS before PRECHARGE");
                if ((burst_read && reads[0].bank == i) || (burst_write && write.bank == i)) bad("burst cut short");
                if (ns - bank[i].written_at < t.wr - EPS) bad("tWR before PRECHARGE");
                if (weak_row() == (bank[i].row << 2 | i)) weak_closed_at = ns;
                bank[i].open = false, bank[i].closed_at = ns;
            }
            precharged = true;
            break;
        case 1:  // REFRESH
        case 0:  // LOAD MODE REGISTER
            if (!precharged) bad("no PRECHARGE after power-up");
            for (const Bank& each : bank) {
                if (each.open) bad("bank open at REFRESH or LOAD MODE REGISTER");
                if (ns - each.closed_at < t.rp - EPS) bad("tRP before REFRESH or LOAD MODE REGISTER");
            }
            if (code == 1) {
                refresh_at = ns;
                refreshes++;
                owed -= owed > -8 ? 1 : 0;
            } else {
                cas = p.a >> 4 & 7;
                if (refreshes < 2) bad("fewer than two REFRESH before LOAD MODE REGISTER");
                if ((p.a & ~0x70) != 2) bad("mode is not bursts of four in order");
                if (cas != 3 && (cas != 2 || t.period < t.fastest2 - EPS)) bad("CAS latency");
                ready = true, mode_at = now;
            }
            break;
        case 6: bad("BURST TERMINATE"); break;
        default: break;
        }

        // ---- words written, refreshes owed ----
        if (now < write.from + 4) {
            if (!p.dq_oe && p.dqm != 3) bad("data of a WRITE missing");
            uint16_t& c = cells[write.cell + (now - write.from)];
            if (!(p.dqm & 1)) c = (c & 0xFF00) | (p.dq_o & 0x00FF);
            if (!(p.dqm & 2)) c = (c & 0x00FF) | (p.dq_o & 0xFF00);
            bank[write.bank].written_at = ns;
        }
        if (ready && ns >= next_due) {
            next_due = (next_due < 0 ? ns : next_due) + t.refresh;
            if (++owed > 9) bad("REFRESH is late");
        }
        return violation[0] ? violation : nullptr;
    }

    std::vector<uint16_t>& memory() { return cells; }

private:
    static constexpr double EPS = 1e-6, LONG_AGO = -1e12;
    static constexpr int64_t NEVER = 1000000;
    struct Bank {
        bool open = false;
        int row = 0;
        double opened_at = LONG_AGO, closed_at = LONG_AGO, written_at = LONG_AGO;
    };

    struct Burst {
        int64_t from = -NEVER;
        size_t cell = 0;
        int bank = 0;
    };

    size_t cell(const SdramPins& p) const {
        return ((size_t)bank[p.ba].row << 2 | p.ba) << t.column_bits | (address(p) & ((1 << t.column_bits) - 4));
    }
    // What pins carry, given what drives them.
    static int through(int value, int joined, int stuck, int level) {
        if ((value & joined) != joined) value &= ~joined;
        return (value & ~stuck) | (level & stuck);
    }
    int address(const SdramPins& p) const {
        return through(p.a, faults.address_joined, faults.address_stuck, faults.address_level);
    }
    int64_t weak_row() const { return faults.weak >> t.column_bits; }   // and bank; negative if there is none
    void bad(const char* what) {
        if (!violation[0]) snprintf(violation, sizeof violation, "%s", what);
    }

    SdramTimes t;
    std::vector<uint16_t> cells;
    Bank bank[4];
    char violation[96] = "";
    Burst reads[2], write;        // the last two READs, the last WRITE
    int64_t now = -1, mode_at = -NEVER;
    int cas = 3, refreshes = 0, owed = 0;
    double weak_closed_at = 0;    // of the row with the weak cell
    double active_at = LONG_AGO, refresh_at = LONG_AGO, next_due = -1;
    int dqm_before[2] = {3, 3};
    bool drove = false, precharged = false, ready = false;
};
