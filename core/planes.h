/* Sub-planes of a level of resolution, and the neighbours of its phases (spec/lattice.md, 3). */
#ifndef XRC_PLANES_H
#define XRC_PLANES_H

#include <stddef.h>
#include <stdint.h>

#include "lattice.h"

enum { XRC_PAD = 2 }; /* sub-plane pixels around the grid: no neighbour is farther than 3 pixels */

/* One of (even, even), (even, odd), (odd, even), (odd, odd) rows and columns: index 2 row + column. */
typedef struct {
    int32_t rows, columns;       /* of the level */
    int32_t grid_rows, grid_columns;
    ptrdiff_t pitch;
    int32_t *base[4];            /* position (0, 0) of each sub-plane */
} xrc_planes;

typedef struct {
    int8_t plane, row, column; /* where a neighbour lies, as distances on the grid */
} xrc_neighbour;

typedef struct {
    int32_t row, column, count; /* parity of the phase; neighbours */
    xrc_neighbour neighbours[XRC_NEIGHBOURS];
} xrc_phase;

extern const xrc_phase xrc_phases[XRC_PHASES];

/* Values that the sub-planes of a level of at most rows x columns take. */
size_t xrc_planes_values(int32_t rows, int32_t columns);

/* Lay out the sub-planes of a level in `values`. */
xrc_planes xrc_planes_in(int32_t *values, int32_t rows, int32_t columns);

/* Rows and columns of a level that lie in a sub-plane. */
int32_t xrc_extent(int32_t length, int32_t parity);

/* Fill the border of a sub-plane by reflection about the first and last row and column of the level. */
void xrc_reflect(const xrc_planes *planes, int32_t plane);

#endif
