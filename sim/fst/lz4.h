// What Verilator's FST writer needs of LZ4, so that waves need no system package: a greedy
// compressor of the LZ4 block format.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* from, char* to, int size, int) {
    const auto* in = reinterpret_cast<const uint8_t*>(from);
    auto* out = reinterpret_cast<uint8_t*>(to);
    uint8_t* const begin = out;
    static thread_local std::vector<int> table(1 << 12);
    table.assign(table.size(), -1);
    const auto word = [&](int i) { uint32_t w; memcpy(&w, in + i, 4); return w; };
    const auto length = [&](int n) {
        for (n -= 15; n >= 255; n -= 255) *out++ = 255;
        *out++ = uint8_t(n);
    };
    const auto literals = [&](int first, int n, int match) {
        *out++ = uint8_t((n < 15 ? n : 15) << 4 | (match < 15 ? match : 15));
        if (n >= 15) length(n);
        if (n) memcpy(out, in + first, n);
        out += n;
    };
    int anchor = 0, i = 0;
    while (i + 12 < size) {    // the format wants the last match 12 bytes before the end
        int& slot = table[(word(i) * 2654435761u) >> 20];
        const int at = slot;
        slot = i;
        if (at < 0 || i - at > 65535 || word(at) != word(i)) {
            i++;
            continue;
        }
        int n = 4;
        while (i + n < size - 5 && in[at + n] == in[i + n]) n++;
        literals(anchor, i - anchor, n - 4);
        const int offset = i - at;
        // literals() wrote the token; offset and the rest of the match's length follow
        *out++ = uint8_t(offset);
        *out++ = uint8_t(offset >> 8);
        if (n - 4 >= 15) length(n - 4);
        i += n;
        anchor = i;
    }
    literals(anchor, size - anchor, 0);
    return int(out - begin);
}
