// SdramModel for callers that speak C: tests/fpga/memory/sdram.py.
#include "sdram_model.h"

extern "C" {
SdramModel* sdram_new(const SdramTimes* times) { return new SdramModel(*times); }
void sdram_delete(SdramModel* model) { delete model; }
const char* sdram_clock(SdramModel* model, const SdramPins* pins, uint16_t* dq) { return model->clock(*pins, *dq); }
}
