/* Distributions of single pixels, their adaptation, and rANS (spec/distribution.md). */
#ifndef XRC_CODER_H
#define XRC_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "xrc_status.h"

enum { XRC_CONTEXTS = 256, XRC_TAPS = 6, XRC_SLOT_BITS = 24, XRC_COMPONENTS = 8 };

#define XRC_INITIAL_STATE ((uint64_t)1 << 32)

/* What a run of pixels of one phase adapts: 5 there. */
typedef struct {
    int32_t offsets[XRC_CONTEXTS]; /* of the spread, in 2^-24 octaves */
    int32_t counts[XRC_CONTEXTS];
    int32_t weights[XRC_TAPS];     /* of the correction, in 2^-24 */
} xrc_adaptation;

/* One pixel's distribution before it is coded, and what adaptation needs of it afterwards. */
typedef struct {
    int64_t mean;                /* in 2^-16 levels */
    int64_t moved;               /* how far the correction moved it */
    int64_t correction, energy;
    int32_t taps[XRC_TAPS];
    int32_t logarithm, context;
    int32_t anchor, lowest, bins;
    int32_t components;
    struct {
        int64_t centre;          /* in 2^-16 levels */
        int32_t log_scale;       /* 256 log2 of the scale in 2^-16 levels */
        int32_t factor, shift;   /* one over the scale */
        int32_t share;           /* of 2^15 */
    } component[XRC_COMPONENTS];
} xrc_distribution;

/* An interval of slots, and how it falls as the scale grows. */
typedef struct {
    int32_t start, size;
    int64_t falls;
} xrc_interval;

/* Begin a run of rows of `columns` pixels; errors: XRC_ERROR_ROWS rows of columns + 4 values. */
enum { XRC_ERROR_ROWS = 3 };
void xrc_begin_run(xrc_adaptation *adaptation, int32_t *errors, int32_t columns);

/* What is known of a phase's pixels together. */
typedef struct {
    int32_t step, peak;
    int32_t components; /* 1 to XRC_COMPONENTS */
    int32_t unit_shift; /* parameters are in 2^-(8 + unit_shift) */
} xrc_coding;

/* The distribution of a pixel.
 *
 * rows:       errors of the row two above, of the row above and of this one, at the pixel.
 * parameters: shifts, spreads and weights, 3 x components - 1.
 */
void xrc_distribute(const xrc_adaptation *adaptation, const int32_t *const rows[XRC_ERROR_ROWS],
                    const xrc_coding *coding, int32_t prediction, int32_t scale,
                    const int32_t *parameters, xrc_distribution *found);

/* The interval of a bin, counted from the lowest. */
xrc_interval xrc_interval_of(const xrc_distribution *found, int32_t step, int32_t bin);

/* The bin that owns a slot. */
int32_t xrc_bin_of(const xrc_distribution *found, int32_t step, int32_t slot, xrc_interval *interval);

/* Learn from a pixel; returns its error in 2^-8 levels. */
int32_t xrc_learn(xrc_adaptation *adaptation, const xrc_distribution *found,
                  const xrc_interval *interval, int32_t level);

/* ---- rANS, 6 there ---- */

typedef struct {
    uint64_t state;
    const uint8_t *next, *end; /* words, little-endian */
} xrc_reader;

xrc_status xrc_open_stream(xrc_reader *reader, const uint8_t *bytes, size_t size);
/* Take an interval off the state; XRC_ENDS_EARLY where words run out. */
xrc_status xrc_pop(xrc_reader *reader, int32_t start, int32_t size);
/* Whether a stream ended where its last pixel did. */
int xrc_is_spent(const xrc_reader *reader);

/* Write intervals, the last first, to the end of `bytes`; returns the size of the stream, which
 * begins `capacity` less that. capacity: 8 bytes, and 4 for each interval. */
size_t xrc_write_stream(const uint32_t *starts, const uint32_t *sizes, size_t count, uint8_t *bytes,
                        size_t capacity);

#endif
