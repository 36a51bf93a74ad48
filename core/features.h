/* What a network sees of a pixel's neighbours, and where its distribution begins (spec/lattice.md, 4). */
#ifndef XRC_FEATURES_H
#define XRC_FEATURES_H

#include <stdint.h>

#include "planes.h"

enum {
    XRC_ACTIVITY = 12,        /* nearest neighbours, from which the scale is taken */
    XRC_FEATURE_COLUMNS = 64, /* positions that are described together */
};

/* Working memory of a row: features of XRC_FEATURE_COLUMNS positions, each in a row of its own. */
typedef struct {
    int32_t difference[XRC_NEIGHBOURS][XRC_FEATURE_COLUMNS];
    int32_t activity[XRC_FEATURE_COLUMNS];
    int32_t reciprocal[XRC_FEATURE_COLUMNS];
    uint8_t bytes[XRC_NEIGHBOURS + XRC_EXTRAS + 1][XRC_FEATURE_COLUMNS];
} xrc_feature_rows;

/* Describe row `i` of a phase.
 *
 * coefficients: of the linear prediction, in 2^-7.
 * pixels:       bytes of the row, `stride` from one position to the next; the first count + 3 are set,
 *               and those after them up to a multiple of 8 are overwritten.
 * predictions:  in 2^-8 levels; scales: steps; both of the grid's columns.
 */
typedef void xrc_describe_row(const xrc_planes *planes, const xrc_phase *phase, int32_t i,
                              const int8_t *coefficients, int32_t step, int32_t peak, uint8_t *pixels,
                              int32_t stride, int32_t *predictions, uint8_t *scales,
                              xrc_feature_rows *work);

#endif
