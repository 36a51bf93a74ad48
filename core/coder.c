#include "coder.h"

#include <string.h>

#include "tables.h"

/* Limits and units of spec/distribution.md. */
enum {
    SHIFT_LIMIT = 8 << 8,
    SPREAD_LOW = -6 * 256,
    SPREAD_HIGH = 4 * 256,
    SPREAD_BIAS = 384,
    CONTEXT_BASE = 2048,
    CONTEXT_BITS = 5,
    OFFSET_LIMIT = 1 << 25,
    GRADIENT_LIMIT = 1 << 15,
    FIRST_PACE = 20,
    LAST_PACE = 256,
    TAP_LIMIT = 1 << 25,
    ERROR_LIMIT = 8 << 8,
    WEIGHT_LIMIT = 16 << 8,
    CORRECTION_LIMIT = 4 << 16,
    WHOLE = 1 << XRC_SLOT_BITS,
};

static int64_t clip(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* a // b for |a| < 2^53 and b > 0: a division of doubles is several times as fast as one of 64-bit
 * integers. A quotient that is not whole is at least 1 / b from the next integer, and rounding moves
 * it by less. */
static int64_t floor_ratio(int64_t a, int64_t b)
{
    const double quotient = (double)a / (double)b;
    const int64_t truncated = (int64_t)quotient;
    return truncated - ((double)truncated > quotient);
}

void xrc_begin_run(xrc_adaptation *adaptation, int32_t *errors, int32_t columns)
{
    memset(adaptation, 0, sizeof *adaptation);
    memset(errors, 0, (size_t)XRC_ERROR_ROWS * (size_t)(columns + 4) * sizeof *errors);
}

/* D(x) of 3.1: an error in 2^-8 mean deviations. */
static int32_t in_deviations(int64_t error, int32_t logarithm)
{
    const int64_t scaled = (error * xrc_powers[logarithm & 255]) >> (8 + (logarithm >> 8));
    return (int32_t)clip(scaled, -ERROR_LIMIT, ERROR_LIMIT);
}

static void correct(const xrc_adaptation *adaptation, const int32_t *const rows[XRC_ERROR_ROWS],
                    xrc_distribution *found)
{
    const int32_t errors[XRC_TAPS] = {rows[2][-1], rows[1][0],  rows[1][-1],
                                      rows[1][1],  rows[2][-2], rows[0][0]};
    int64_t sum = 0, energy = 0;
    for (int k = 0; k < XRC_TAPS; k++) {
        const int32_t tap = in_deviations(errors[k], found->logarithm);
        found->taps[k] = tap;
        sum += (int64_t)adaptation->weights[k] * tap;
        energy += (int64_t)tap * tap;
    }
    found->correction = clip(sum >> 16, -CORRECTION_LIMIT, CORRECTION_LIMIT);
    found->energy = energy;
}

/* A parameter in 2^-8: halves round up. */
static int64_t rounded(int32_t parameter, int32_t unit_shift)
{
    return ((int64_t)parameter + ((1 << unit_shift) >> 1)) >> unit_shift;
}

/* Shares of 2^15 from weights in 2^-8 bits, and the mean of the components. */
static void share_out(xrc_distribution *found, const int32_t *weights)
{
    const int32_t count = found->components;
    if (count == 1) {
        found->component[0].share = 1 << 15;
        found->mean = found->component[0].centre;
        return;
    }
    int32_t largest = 0, powers[XRC_COMPONENTS];
    int64_t total = 0, mean = 0;
    for (int32_t k = 0; k < count; k++)
        largest = weights[k] > largest ? weights[k] : largest;
    for (int32_t k = 0; k < count; k++) {
        const int32_t down = largest - weights[k];
        powers[k] = xrc_powers[down & 255] >> (down >> 8);
        total += powers[k];
    }
    int32_t rest = 1 << 15;
    for (int32_t k = count - 1; k >= 0; k--) {
        found->component[k].share = k ? (int32_t)floor_ratio((int64_t)powers[k] << 15, total) : rest;
        rest -= found->component[k].share;
        mean += found->component[k].share * found->component[k].centre;
    }
    found->mean = mean >> 15;
}

void xrc_distribute(const xrc_adaptation *adaptation, const int32_t *const rows[XRC_ERROR_ROWS],
                    const xrc_coding *coding, int32_t prediction, int32_t scale,
                    const int32_t *parameters, xrc_distribution *found)
{
    const int64_t deviation = xrc_deviations[scale];
    const int32_t count = coding->components, u = coding->unit_shift;
    int32_t weights[XRC_COMPONENTS], spreads[XRC_COMPONENTS], spread_sum = 0;
    found->logarithm = xrc_logarithms[scale];
    found->components = count;
    correct(adaptation, rows, found);
    found->moved = (found->correction * deviation) >> 16;
    const int64_t base = ((int64_t)prediction << 8) + found->moved;
    for (int32_t k = 0; k < count; k++) {
        const int64_t shift = clip(rounded(parameters[k], u), -SHIFT_LIMIT, SHIFT_LIMIT);
        found->component[k].centre = base + ((shift * deviation) >> 8);
        spreads[k] = (int32_t)clip(rounded(parameters[count + k], u), SPREAD_LOW, SPREAD_HIGH);
        spread_sum += spreads[k];
        weights[k] = k ? (int32_t)clip(rounded(parameters[2 * count + k - 1], u), -WEIGHT_LIMIT,
                                       WEIGHT_LIMIT)
                       : 0;
    }
    const int32_t spread = count == 1 ? spread_sum : (int32_t)floor_ratio(spread_sum, count);
    found->context = (int32_t)clip((found->logarithm + spread - CONTEXT_BASE) >> CONTEXT_BITS, 0,
                                   XRC_CONTEXTS - 1);
    const int32_t offset = adaptation->offsets[found->context] >> 16;
    for (int32_t k = 0; k < count; k++) {
        const int32_t l = found->logarithm - SPREAD_BIAS + offset + spreads[k];
        found->component[k].log_scale = l;
        found->component[k].factor = xrc_powers[l & 255];
        found->component[k].shift = 12 + (l >> 8);
    }
    share_out(found, weights);
    const int32_t step = coding->step, peak = coding->peak;
    found->anchor = (int32_t)clip((found->mean + 32768) >> 16, 0, peak);
    if (step == 1) {
        found->lowest = -found->anchor;
        found->bins = peak + 1;
    } else {
        const int32_t reach = step >> 1;
        found->lowest = -((found->anchor + reach) / step);
        found->bins = (peak - found->anchor + reach) / step - found->lowest + 1;
    }
}

/* Distribution function at the lower boundary of a bin, as its first slot, and the moment there. */
static int32_t slot_at(const xrc_distribution *found, int32_t step, int32_t bin, int64_t *moment)
{
    const int64_t boundary = (((int64_t)found->anchor + ((int64_t)found->lowest + bin) * step) << 16)
                             - ((int64_t)step << 15);
    int64_t total = 0, moments = 0;
    for (int32_t k = 0; k < found->components; k++) {
        const int64_t argument = ((boundary - found->component[k].centre) * found->component[k].factor)
                                 >> found->component[k].shift;
        const int64_t place = (argument >> 7) + 768, share = found->component[k].share;
        if (place < 0)
            continue;
        if (place >= XRC_SIGMOIDS - 1) {
            total += share << 30;
            continue;
        }
        const int64_t low = xrc_sigmoids[place];
        total += share * (low + (((xrc_sigmoids[place + 1] - low) * (argument & 127)) >> 7));
        const int64_t density = (low >> 15) * (((1 << 30) - low) >> 15);
        moments += share * (((density >> 10) * argument) >> 11);
    }
    *moment = moments;
    return (int32_t)(((total >> 21) * (WHOLE - found->bins)) >> XRC_SLOT_BITS) + bin;
}

xrc_interval xrc_interval_of(const xrc_distribution *found, int32_t step, int32_t bin)
{
    int64_t low = 0, high = 0;
    const int32_t start = bin > 0 ? slot_at(found, step, bin, &low) : 0;
    const int32_t end = bin + 1 < found->bins ? slot_at(found, step, bin + 1, &high) : WHOLE;
    return (xrc_interval){start, end - start, high - low};
}

/* Where a slot's bin is likely to be: by the quantile function of the first component. */
static int32_t guessed_bin(const xrc_distribution *found, int32_t step, int32_t slot)
{
    const int64_t quantile = xrc_quantiles[slot >> (XRC_SLOT_BITS - XRC_QUANTILE_BITS)];
    const int32_t inverse = -found->component[0].log_scale; /* the scale is 2^(-inverse / 256) in 2^-16 levels */
    const int64_t distance = (quantile * xrc_powers[inverse & 255] * 64) >> (40 + (inverse >> 8));
    const int64_t level = (found->component[0].centre + distance + 32768) >> 16;
    int64_t bin = level - found->anchor;
    if (step > 1)
        bin = floor_ratio(bin + (step >> 1), step);
    return (int32_t)clip(bin - found->lowest, 0, found->bins - 1);
}

int32_t xrc_bin_of(const xrc_distribution *found, int32_t step, int32_t slot, xrc_interval *interval)
{
    /* The slot's bin is at least `low` and below `high`; both begin at the guess and walk apart. */
    int32_t low = guessed_bin(found, step, slot), high = low + 1, start, end, stride = 1;
    int64_t low_moment, high_moment;
    start = low > 0 ? slot_at(found, step, low, &low_moment) : (low_moment = 0, 0);
    end = high < found->bins ? slot_at(found, step, high, &high_moment) : (high_moment = 0, WHOLE);
    while (slot < start) {
        high = low, end = start, high_moment = low_moment;
        low = low > stride ? low - stride : 0, stride *= 2;
        start = low > 0 ? slot_at(found, step, low, &low_moment) : (low_moment = 0, 0);
    }
    while (slot >= end) {
        low = high, start = end, low_moment = high_moment;
        high = found->bins - high > stride ? high + stride : found->bins, stride *= 2;
        end = high < found->bins ? slot_at(found, step, high, &high_moment) : (high_moment = 0, WHOLE);
    }
    while (high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        int64_t moment;
        const int32_t at = slot_at(found, step, middle, &moment);
        if (slot >= at)
            low = middle, start = at, low_moment = moment;
        else
            high = middle, end = at, high_moment = moment;
    }
    *interval = (xrc_interval){start, end - start, high_moment - low_moment};
    return low;
}

int32_t xrc_learn(xrc_adaptation *adaptation, const xrc_distribution *found,
                  const xrc_interval *interval, int32_t level)
{
    const int32_t context = found->context;
    const int64_t gradient = clip(floor_ratio(interval->falls, interval->size), -GRADIENT_LIMIT,
                                  GRADIENT_LIMIT);
    const int32_t count = adaptation->counts[context];
    const int32_t pace = count + FIRST_PACE < LAST_PACE ? count + FIRST_PACE : LAST_PACE;
    adaptation->counts[context] = count < LAST_PACE ? count + 1 : count;
    adaptation->offsets[context] = (int32_t)clip(
        adaptation->offsets[context] - floor_ratio(gradient * (1 << 12), pace), -OFFSET_LIMIT,
        OFFSET_LIMIT);

    const int64_t error = (((int64_t)level << 16) - found->mean + found->moved) >> 8;
    const int64_t missed = clip(in_deviations(error, found->logarithm) - (found->correction >> 8),
                                -ERROR_LIMIT, ERROR_LIMIT);
    const int64_t pull = floor_ratio(missed * (1 << 28), (1 << 16) + found->energy);
    for (int k = 0; k < XRC_TAPS; k++)
        adaptation->weights[k] = (int32_t)clip(
            adaptation->weights[k] + ((found->taps[k] * pull) >> 12), -TAP_LIMIT, TAP_LIMIT);
    return (int32_t)error;
}

/* ---- rANS ---- */

static uint32_t word_at(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put_word(uint8_t *bytes, uint32_t word)
{
    bytes[0] = (uint8_t)word, bytes[1] = (uint8_t)(word >> 8);
    bytes[2] = (uint8_t)(word >> 16), bytes[3] = (uint8_t)(word >> 24);
}

xrc_status xrc_open_stream(xrc_reader *reader, const uint8_t *bytes, size_t size)
{
    if (size < 8 || size % 4)
        return XRC_STREAM_SIZE;
    *reader = (xrc_reader){word_at(bytes) | (uint64_t)word_at(bytes + 4) << 32, bytes + 8, bytes + size};
    return reader->state < XRC_INITIAL_STATE ? XRC_STREAM_STATE : XRC_OK;
}

xrc_status xrc_pop(xrc_reader *reader, int32_t start, int32_t size)
{
    const uint64_t slot = reader->state & (WHOLE - 1);
    uint64_t state = (uint64_t)size * (reader->state >> XRC_SLOT_BITS) + slot - (uint64_t)start;
    if (state < XRC_INITIAL_STATE) {
        if (reader->next == reader->end)
            return XRC_ENDS_EARLY;
        state = state << 32 | word_at(reader->next);
        reader->next += 4;
    }
    reader->state = state;
    return XRC_OK;
}

int xrc_is_spent(const xrc_reader *reader)
{
    return reader->next == reader->end && reader->state == XRC_INITIAL_STATE;
}

size_t xrc_write_stream(const uint32_t *starts, const uint32_t *sizes, size_t count, uint8_t *bytes,
                        size_t capacity)
{
    uint8_t *next = bytes + capacity;
    uint64_t state = XRC_INITIAL_STATE;
    for (size_t i = count; i-- > 0;) {
        const uint64_t size = sizes[i];
        if (size >> XRC_SLOT_BITS)
            continue;
        if (state >= size << 40) {
            next -= 4;
            put_word(next, (uint32_t)state);
            state >>= 32;
        }
        const uint64_t quotient = state / size;
        state = (quotient << XRC_SLOT_BITS) + starts[i] + (state - quotient * size);
    }
    next -= 8;
    put_word(next, (uint32_t)state);
    put_word(next + 4, (uint32_t)(state >> 32));
    return (size_t)(bytes + capacity - next);
}
