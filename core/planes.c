#include "planes.h"

/* (1, 1): distances (1, 1) (1, 3) (3, 3); (1, 0): (0, 1) (1, 2) (0, 3); (0, 1): (0, 1) (1, 1) (1, 2)
 * (0, 3), each in the order of spec/lattice.md, 3. */
const xrc_phase xrc_phases[XRC_PHASES] = {
    {1, 1, 16,
     {
      {0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 1},
      {0, -1, 0}, {0, -1, 1}, {0, 0, -1}, {0, 0, 2},
      {0, 1, -1}, {0, 1, 2}, {0, 2, 0}, {0, 2, 1},
      {0, -1, -1}, {0, -1, 2}, {0, 2, -1}, {0, 2, 2}}},
    {1, 0, 16,
     {
      {0, 0, 0}, {3, 0, -1}, {3, 0, 0}, {0, 1, 0},
      {3, -1, -1}, {3, -1, 0}, {0, 0, -1}, {0, 0, 1},
      {0, 1, -1}, {0, 1, 1}, {3, 1, -1}, {3, 1, 0},
      {0, -1, 0}, {3, 0, -2}, {3, 0, 1}, {0, 2, 0}}},
    {0, 1, 20,
     {
      {3, -1, 0}, {0, 0, 0}, {0, 0, 1}, {3, 0, 0},
      {2, -1, 0}, {2, -1, 1}, {2, 0, 0}, {2, 0, 1},
      {0, -1, 0}, {0, -1, 1}, {3, -1, -1}, {3, -1, 1},
      {3, 0, -1}, {3, 0, 1}, {0, 1, 0}, {0, 1, 1},
      {3, -2, 0}, {0, 0, -1}, {0, 0, 2}, {3, 1, 0}}},
};

static int32_t half(int32_t length) { return (length + 1) / 2; }

int32_t xrc_extent(int32_t length, int32_t parity) { return (length + 1 - parity) / 2; }

static ptrdiff_t pitch_of(int32_t columns) { return half(columns) + 2 * XRC_PAD; }

static size_t plane_values(int32_t rows, int32_t columns)
{
    return (size_t)(half(rows) + 2 * XRC_PAD) * (size_t)pitch_of(columns);
}

size_t xrc_planes_values(int32_t rows, int32_t columns) { return 4 * plane_values(rows, columns); }

xrc_planes xrc_planes_in(int32_t *values, int32_t rows, int32_t columns)
{
    xrc_planes p = {rows, columns, half(rows), half(columns), pitch_of(columns), {0}};
    for (int32_t i = 0; i < 4; i++)
        p.base[i] = values + (size_t)i * plane_values(rows, columns) + XRC_PAD * p.pitch + XRC_PAD;
    return p;
}

/* Index in a sub-plane of position i of parity `odd`, reflected about the ends of `length` pixels. */
static int32_t reflected(int32_t i, int32_t odd, int32_t length)
{
    const int32_t period = length > 1 ? 2 * (length - 1) : 2;
    int32_t at = 2 * i + odd;
    at = (at < 0 ? -at : at) % period;
    return (at < period - at ? at : period - at) >> 1;
}

void xrc_reflect(const xrc_planes *p, int32_t plane)
{
    const int32_t row_parity = plane >> 1, column_parity = plane & 1;
    const int32_t rows = xrc_extent(p->rows, row_parity), columns = xrc_extent(p->columns, column_parity);
    /* Along an axis of one pixel, what is odd is what is even and known. */
    const int32_t *source = p->base[rows && columns ? plane : 0];
    for (int32_t i = -XRC_PAD; i < p->grid_rows + XRC_PAD; i++) {
        const int32_t known = i >= 0 && i < rows ? columns : 0;
        const int32_t *from = source + reflected(i, row_parity, p->rows) * p->pitch;
        int32_t *out = p->base[plane] + i * p->pitch;
        for (int32_t j = -XRC_PAD; j < 0; j++)
            out[j] = from[reflected(j, column_parity, p->columns)];
        for (int32_t j = known; j < p->grid_columns + XRC_PAD; j++)
            out[j] = from[reflected(j, column_parity, p->columns)];
    }
}
