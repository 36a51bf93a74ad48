#include "fitting.h"

#include "features.h"
#include "planes.h"

static size_t sample_values(int32_t columns) { return (size_t)((columns + 1) / 2) * (XRC_PRODUCTS + 2); }

size_t xrc_fitting_scratch(int32_t rows, int32_t columns)
{
    if (rows < 1 || columns < 1 || rows > XRC_MAX_TILE || columns > XRC_MAX_TILE)
        return 0;
    return (xrc_planes_values(rows, columns) + sample_values(columns)) * 4;
}

/* Weighted differences of one row: (neighbour or pixel, column). */
static void take_samples(const xrc_planes *planes, const xrc_phase *phase, int32_t i, int32_t columns,
                         float least, float *restrict samples)
{
    const int32_t count = phase->count;
    float *restrict mean = samples + (ptrdiff_t)XRC_PRODUCTS * columns;
    float *restrict activity = mean + columns;
    for (int32_t k = 0; k <= count; k++) {
        const xrc_neighbour own = {(int8_t)(2 * phase->row + phase->column), 0, 0};
        const xrc_neighbour at = k < count ? phase->neighbours[k] : own;
        const int32_t *restrict values = planes->base[at.plane] + (i + at.row) * planes->pitch + at.column;
        for (int32_t j = 0; j < columns; j++)
            samples[k * columns + j] = (float)values[j];
    }
    for (int32_t j = 0; j < columns; j++) {
        mean[j] = 0.25f * (samples[j] + samples[columns + j] + samples[2 * columns + j]
                           + samples[3 * columns + j]);
        activity[j] = 0;
    }
    for (int32_t k = 0; k <= count; k++)
        for (int32_t j = 0; j < columns; j++) {
            const float difference = samples[k * columns + j] - mean[j];
            samples[k * columns + j] = difference;
            if (k < XRC_ACTIVITY)
                activity[j] += difference < 0 ? -difference : difference;
        }
    for (int32_t k = 0; k <= count; k++)
        for (int32_t j = 0; j < columns; j++)
            samples[k * columns + j] /= activity[j] > least ? activity[j] : least;
}

/* Eight sums side by side: the compiler adds floats in order unless it is told how not to. */
static double dot(const float *restrict a, const float *restrict b, int32_t count)
{
    float sums[8] = {0};
    int32_t j = 0;
    for (; j + 8 <= count; j += 8)
        for (int32_t lane = 0; lane < 8; lane++)
            sums[lane] += a[j + lane] * b[j + lane];
    double total = 0;
    for (; j < count; j++)
        total += a[j] * b[j];
    for (int32_t lane = 0; lane < 8; lane++)
        total += sums[lane];
    return total;
}

xrc_status xrc_add_samples(const uint16_t *levels, int32_t rows, int32_t columns, int32_t step,
                           const int32_t every[XRC_PHASES], xrc_sums *sums, void *scratch, size_t size)
{
    const size_t needed = xrc_fitting_scratch(rows, columns);
    if (!needed || size < needed)
        return XRC_ARGUMENT;
    const xrc_planes planes = xrc_planes_in(scratch, rows, columns);
    float *samples = (float *)scratch + xrc_planes_values(rows, columns);
    for (int32_t row = 0; row < rows; row++)
        for (int32_t column = 0; column < columns; column++)
            planes.base[2 * (row & 1) + (column & 1)][(row >> 1) * planes.pitch + (column >> 1)] =
                levels[(ptrdiff_t)row * columns + column];
    for (int32_t plane = 0; plane < 4; plane++)
        xrc_reflect(&planes, plane);
    for (int32_t number = 0; number < XRC_PHASES; number++) {
        const xrc_phase *phase = &xrc_phases[number];
        const int32_t extent = xrc_extent(columns, phase->column);
        for (int32_t i = 0; extent && i < xrc_extent(rows, phase->row); i += every[number]) {
            take_samples(&planes, phase, i, extent, XRC_ACTIVITY * 0.5f * (float)step, samples);
            for (int32_t a = 0; a <= phase->count; a++)
                for (int32_t b = a; b <= phase->count; b++) {
                    const double product = dot(samples + a * extent, samples + b * extent, extent);
                    sums->products[number][a][b] += product;
                    if (a != b)
                        sums->products[number][b][a] += product;
                }
            sums->samples[number] += extent;
        }
    }
    return XRC_OK;
}
