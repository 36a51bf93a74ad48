/* Frozen tables. */
#ifndef XRC_TABLES_H
#define XRC_TABLES_H

#include <stdint.h>

enum { XRC_SIGMOIDS = 1537, XRC_POWERS = 256, XRC_SCALES = 110, XRC_QUANTILE_BITS = 11, XRC_QUANTILES = 1 << XRC_QUANTILE_BITS };

extern const int32_t xrc_sigmoids[XRC_SIGMOIDS]; /* k = -768 to 768: 2^30 / (1 + e^(-k / 32)) */
extern const int32_t xrc_powers[XRC_POWERS];     /* 2^(24 - k / 256) */

/* Of each step of the scale: */
extern const uint32_t xrc_deviations[XRC_SCALES]; /* mean deviation in 2^-16 levels */
extern const int32_t xrc_logarithms[XRC_SCALES];  /* 256 log2 of it */
extern const int32_t xrc_reciprocals[XRC_SCALES]; /* 32 over it, in 2^-32, for differences in 2^-8 levels */
extern const int16_t xrc_quantiles[XRC_QUANTILES];

#endif
