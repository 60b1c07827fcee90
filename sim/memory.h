// The world around the accelerator: AXI4 memory, AXI4-Lite master, reset. See memory.cpp.
#pragma once
#include <cstdint>

// Operations of the mailbox; sim/device.py has the same numbers.
enum Op : uint32_t { OP_NOP = 0, OP_READ = 1, OP_WRITE = 2, OP_WAIT = 3, OP_SET = 4, OP_GET = 5, OP_RESET = 6 };

// Results of an operation.
enum Result : uint32_t { RESULT_OK = 0, RESULT_BUS_ERROR = 1, RESULT_TIMEOUT = 2 };
