/* The norm that every other variant is held to: spec/network.md, 2, in integers. */
#include "kernels.h"
#include "tables.h"

#define XRC_TARGET
#define XRC_NAME(x) x

static int32_t clip(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* round(sum / 2^shift), ties to even. */
static int32_t rounded(int32_t sum, int32_t shift)
{
    if (shift == 0)
        return sum;
    int32_t quotient = sum >> shift; /* towards minus infinity, as every compiler here does it */
    int32_t rest = sum - (int32_t)((uint32_t)quotient << shift);
    int32_t half = 1 << (shift - 1);
    return quotient + (rest > half || (rest == half && (quotient & 1)));
}

/* Sum of one output channel at one pixel. */
static int32_t sum_of(const xrc_layer *layer, const uint8_t *const rows[3], int32_t column,
                      int32_t block, int32_t lane)
{
    int32_t sum = layer->bias[block * XRC_LANES + lane];
    const int8_t *weight = layer->weight
                           + (ptrdiff_t)block * layer->taps * layer->groups * XRC_LANES * 4
                           + lane * 4;
    int32_t width = layer->taps == 9 ? 3 : 1;
    for (int32_t tap = 0; tap < layer->taps; tap++) {
        const uint8_t *pixel = rows[tap / width] + (ptrdiff_t)(column + tap % width) * layer->in_stride;
        for (int32_t group = 0; group < layer->groups; group++, weight += XRC_LANES * 4)
            for (int32_t k = 0; k < 4; k++)
                sum += weight[k] * pixel[4 * group + k];
    }
    return sum;
}

static void convolve_row(const xrc_layer *layer, const uint8_t *const rows[3], int32_t columns,
                         const uint8_t *added, uint8_t *out)
{
    int32_t low = layer->zero ? -128 : 0, high = low + 255;
    for (int32_t column = 0; column < columns; column++)
        for (int32_t block = 0; block < layer->blocks; block++)
            for (int32_t lane = 0; lane < XRC_LANES; lane++) {
                int32_t channel = block * XRC_LANES + lane;
                int32_t sum = sum_of(layer, rows, column, block, lane);
                int32_t value = clip(rounded(sum, layer->scale[channel]), low, high);
                ptrdiff_t place = (ptrdiff_t)column * layer->out_stride + channel;
                out[place] = added ? (uint8_t)clip(value + added[place], 0, 255)
                                   : (uint8_t)(value + layer->zero);
            }
}

static void head_row(const xrc_layer *layer, const uint8_t *row, int32_t columns, int32_t channels,
                     int32_t *out)
{
    const uint8_t *const rows[3] = {row, 0, 0};
    for (int32_t column = 0; column < columns; column++)
        for (int32_t channel = 0; channel < channels; channel++)
            out[(ptrdiff_t)column * channels + channel] =
                sum_of(layer, rows, column, channel / XRC_LANES, channel % XRC_LANES)
                * (1 << layer->scale[channel]);
}

/* Bytes of each feature to bytes of each position. */
static void interleave(const xrc_feature_rows *work, int32_t count, int32_t n, uint8_t *pixels,
                       int32_t stride)
{
    for (int32_t j = 0; j < n; j++)
        for (int32_t k = 0; k < count; k++)
            pixels[(ptrdiff_t)j * stride + k] = work->bytes[k][j];
}

#include "features.inc"

const xrc_kernels xrc_kernels_plain = {"plain", convolve_row, head_row, describe_row};
