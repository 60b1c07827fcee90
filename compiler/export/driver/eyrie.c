/* Bare-metal driver of an Eyrie accelerator: freestanding C99. eyrie.h says what is what. */
#include "eyrie.h"

#define TENSOR(name) { \
    name##_ADDRESS, name##_IMAGE_PITCH, name##_ROW_PITCH, name##_STRIP_PITCH, name##_CHANNELS, \
    name##_HEIGHT, name##_WIDTH, name##_BLOCK, name##_FIRST_BLOCK, name##_ELEMENT_BYTES, \
    name##_FRACTION, name##_UNSIGNED, name##_ZERO_POINT, name##_SCALE, name##_SLOT_TABLE }
#define ELEMENT(name) TENSOR(name),

const struct eyrie_tensor eyrie_input = TENSOR(EYRIE_INPUT);
const struct eyrie_tensor eyrie_output = TENSOR(EYRIE_OUTPUT);
const struct eyrie_tensor eyrie_outputs[EYRIE_OUTPUTS] = { EYRIE_OUTPUT_LIST(ELEMENT) };

int eyrie_identify(const struct eyrie *dev)
{
    if (EYRIE_READ32(dev, EYRIE_REG_ID) != EYRIE_ID_VALUE)
        return EYRIE_MISMATCH;
    if (EYRIE_READ32(dev, EYRIE_REG_VERSION) != EYRIE_VERSION_VALUE)
        return EYRIE_VERSION;
    if (EYRIE_READ32(dev, EYRIE_REG_PES) != EYRIE_PES
        || EYRIE_READ32(dev, EYRIE_REG_GLB_WORDS) != EYRIE_GLB_WORDS)
        return EYRIE_MISMATCH;
    return EYRIE_OK;
}

void eyrie_load(const struct eyrie *dev, const uint8_t *memory)
{
    uint32_t i;

    (void)dev;
    for (i = 0; i < EYRIE_MEMORY_BYTES; i += 2)
        EYRIE_MEM_WRITE16(dev, EYRIE_MEMORY_ADDRESS + i,
                          (uint16_t)(memory[i] | (uint16_t)memory[i + 1] << 8));
}

int eyrie_start(const struct eyrie *dev, uint32_t watchdog)
{
    const int state = eyrie_poll(dev);
    const uint32_t version = EYRIE_MEM_READ16(dev, EYRIE_PROGRAM_ADDRESS) >> EYRIE_CMD_HEADER_VERSION_BIT
        & ((1u << EYRIE_CMD_HEADER_VERSION_BITS) - 1u);

    if (state == EYRIE_RUNNING || state == EYRIE_FAILED)
        return state;
    if (version != EYRIE_VERSION_VALUE)
        return EYRIE_VERSION;
    EYRIE_WRITE32(dev, EYRIE_REG_PROGRAM, EYRIE_PROGRAM_ADDRESS);
    EYRIE_WRITE32(dev, EYRIE_REG_COUNT, EYRIE_PROGRAM_COUNT);
    EYRIE_WRITE32(dev, EYRIE_REG_READ_BASE, EYRIE_WINDOW_READ_BASE);
    EYRIE_WRITE32(dev, EYRIE_REG_READ_LIMIT, EYRIE_WINDOW_READ_LIMIT);
    EYRIE_WRITE32(dev, EYRIE_REG_WRITE_BASE, EYRIE_WINDOW_WRITE_BASE);
    EYRIE_WRITE32(dev, EYRIE_REG_WRITE_LIMIT, EYRIE_WINDOW_WRITE_LIMIT);
    EYRIE_WRITE32(dev, EYRIE_REG_WATCHDOG, watchdog);
    EYRIE_BARRIER();
    EYRIE_WRITE32(dev, EYRIE_REG_CONTROL, EYRIE_CONTROL_START);
    return EYRIE_OK;
}

int eyrie_poll(const struct eyrie *dev)
{
    switch (EYRIE_READ32(dev, EYRIE_REG_STATUS) & 0xFFu) {
    case EYRIE_STATUS_DONE:
        EYRIE_BARRIER();
        return EYRIE_OK;
    case EYRIE_STATUS_RUNNING:
        return EYRIE_RUNNING;
    case EYRIE_STATUS_IDLE:
        return EYRIE_IDLE;
    default:
        return EYRIE_FAILED;
    }
}

int eyrie_wait(const struct eyrie *dev, uint32_t polls)
{
    while (polls--) {
        const int state = eyrie_poll(dev);

        if (state != EYRIE_RUNNING)
            return state;
    }
    return EYRIE_TIMEOUT;
}

uint32_t eyrie_error(const struct eyrie *dev, uint32_t *index)
{
    if (index)
        *index = EYRIE_READ32(dev, EYRIE_REG_ERROR_INDEX);
    return EYRIE_READ32(dev, EYRIE_REG_STATUS) >> 8 & 0xFFu;
}

int eyrie_reset(const struct eyrie *dev, uint32_t polls)
{
    EYRIE_WRITE32(dev, EYRIE_REG_CONTROL, EYRIE_CONTROL_RESET);
    while (polls--)
        if (eyrie_poll(dev) == EYRIE_IDLE)
            return EYRIE_OK;
    return EYRIE_TIMEOUT;
}

uint64_t eyrie_counter(const struct eyrie *dev, uint32_t counter)
{
    const uint32_t offset = EYRIE_REG_COUNTERS + 8u * counter;
    const uint32_t low = EYRIE_READ32(dev, offset);

    return low | (uint64_t)EYRIE_READ32(dev, offset + 4u) << 32;
}

void eyrie_interrupt(const struct eyrie *dev, int enable)
{
    EYRIE_WRITE32(dev, EYRIE_REG_INTERRUPT, enable ? EYRIE_INTERRUPT_ENABLE : 0u);
}

void eyrie_interrupt_clear(const struct eyrie *dev)
{
    const uint32_t enable = EYRIE_READ32(dev, EYRIE_REG_INTERRUPT) & EYRIE_INTERRUPT_ENABLE;

    EYRIE_WRITE32(dev, EYRIE_REG_INTERRUPT, enable | EYRIE_INTERRUPT_PENDING);
}

uint32_t eyrie_address(const struct eyrie_tensor *t, uint32_t image, uint32_t channel, uint32_t y, uint32_t x)
{
    const uint32_t slot = t->slots ? t->slots[channel] : channel;

    return t->address + image * t->image_pitch + y * t->row_pitch
        + (t->first_block + slot / t->block) * t->strip_pitch
        + t->element_bytes * (x * t->block + slot % t->block);
}

/* An element at an address. */
static void put(const struct eyrie *dev, const struct eyrie_tensor *t, uint32_t address, int16_t value)
{
    (void)dev;
    if (t->element_bytes == 1)
        EYRIE_MEM_WRITE8(dev, address, (uint8_t)value);
    else
        EYRIE_MEM_WRITE16(dev, address, (uint16_t)value);
}

static int16_t get(const struct eyrie *dev, const struct eyrie_tensor *t, uint32_t address)
{
    (void)dev;
    if (t->element_bytes != 1)
        return (int16_t)EYRIE_MEM_READ16(dev, address);
    return t->is_unsigned ? (int16_t)EYRIE_MEM_READ8(dev, address)
                          : (int16_t)(int8_t)EYRIE_MEM_READ8(dev, address);
}

int eyrie_put_input(const struct eyrie *dev, uint32_t image, const int16_t *chw)
{
    const struct eyrie_tensor *t = &eyrie_input;
    uint32_t c, y, x;

    (void)dev;
    if (image >= EYRIE_IMAGES)
        return EYRIE_RANGE;
    for (c = 0; c < t->channels; c++)
        for (y = 0; y < t->height; y++)
            for (x = 0; x < t->width; x++)
                put(dev, t, eyrie_address(t, image, c, y, x), *chw++);
    return EYRIE_OK;
}

int eyrie_get_output(const struct eyrie *dev, uint32_t image, int16_t *chw)
{
    return eyrie_get_output_of(dev, 0, image, chw);
}

int eyrie_get_output_of(const struct eyrie *dev, uint32_t output, uint32_t image, int16_t *chw)
{
    const struct eyrie_tensor *t;
    uint32_t c, y, x;

    (void)dev;
    if (output >= EYRIE_OUTPUTS || image >= EYRIE_IMAGES)
        return EYRIE_RANGE;
    t = &eyrie_outputs[output];
    for (c = 0; c < t->channels; c++)
        for (y = 0; y < t->height; y++)
            for (x = 0; x < t->width; x++)
                *chw++ = get(dev, t, eyrie_address(t, image, c, y, x));
    return EYRIE_OK;
}

uint32_t eyrie_argmax(const int16_t *values, uint32_t count)
{
    uint32_t best = 0, i;

    for (i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}
