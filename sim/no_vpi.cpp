// The C++ driver has no VPI user; Verilator's VPI sources want this table.
extern "C" {
void (*vlog_startup_routines[])() = {nullptr};
}
