/* Sums for the linear predictions of an image: encoders only, in floating point, since coefficients are
 * rounded and sent (spec/lattice.md, 4.1 and 9). */
#ifndef XRC_FITTING_H
#define XRC_FITTING_H

#include <stddef.h>
#include <stdint.h>

#include "lattice.h"

enum { XRC_PRODUCTS = XRC_NEIGHBOURS + 1 };

typedef struct {
    double products[XRC_PHASES][XRC_PRODUCTS][XRC_PRODUCTS]; /* neighbours first, the pixel last */
    int64_t samples[XRC_PHASES];
} xrc_sums;

/* Bytes of scratch memory, 0 for sizes beyond the limits. */
size_t xrc_fitting_scratch(int32_t rows, int32_t columns);

/* Add the weighted products of one plane of levels, (row, column), to the sums of its phases.
 *
 * Samples are differences from the mean of the nearest four neighbours, divided by the activity.
 * every: one row of a phase in so many is looked at.
 */
xrc_status xrc_add_samples(const uint16_t *levels, int32_t rows, int32_t columns, int32_t step,
                           const int32_t every[XRC_PHASES], xrc_sums *sums, void *scratch, size_t size);

#endif
