/* The lattice codec, spec/lattice.md: one call codes one tile.
 *
 *     levels ──▶ sub-planes ──▶ features ──▶ network ──▶ distributions ──▶ rANS ──▶ payloads
 *
 * A level of resolution is held as four sub-planes, by the parity of rows and columns: what is known
 * from the level above, and the three phases. A neighbour of a phase lies in one sub-plane at one
 * distance, so that rows are read in order.
 */
#ifndef XRC_LATTICE_H
#define XRC_LATTICE_H

#include <stddef.h>
#include <stdint.h>

#include "xrc_network.h"
#include "xrc_status.h"

enum {
    XRC_SETS = 3,        /* of networks: level 0, level 1, levels 2 and up */
    XRC_PHASES = 3,
    XRC_LAYERS = 4,      /* payloads of a tile */
    XRC_NEIGHBOURS = 20, /* at most: 16, 16 and 20 */
    XRC_EXTRAS = 3,      /* features beside those of neighbours */
    XRC_MAX_TILE = 4096,
};

typedef struct {
    const xrc_network *networks[XRC_SETS][XRC_PHASES];
    int32_t state[XRC_SETS][XRC_PHASES];      /* operators that give the state */
    int32_t parameters[XRC_SETS][XRC_PHASES]; /* and the parameters */
    int32_t channels[XRC_SETS]; /* of the state */
    int32_t components;         /* of a mixture: 1 to 8 */
    int32_t unit_shift;         /* parameters are in 2^-(8 + unit_shift): 0 to 16 */
} xrc_lattice_model;

typedef struct {
    int32_t step; /* odd, 1 is lossless */
    int32_t peak; /* the highest level; the lowest is 0 */
    int8_t coefficients[XRC_SETS][XRC_PHASES][XRC_NEIGHBOURS];
} xrc_lattice_setting;

/* Bytes of scratch memory for a tile, 0 for sizes beyond the limits. */
size_t xrc_lattice_scratch(const xrc_lattice_model *model, int32_t rows, int32_t columns);

/* Bytes that the payloads of a tile take at most, together. */
size_t xrc_lattice_capacity(const xrc_lattice_setting *setting, int32_t rows, int32_t columns);

/* Code a tile.
 *
 * levels:   (row, column), replaced by what a decoder will find.
 * payloads: of xrc_lattice_capacity bytes, one payload after the other.
 * sizes:    of each payload.
 */
xrc_status xrc_lattice_encode(const xrc_lattice_model *model, const xrc_lattice_setting *setting,
                              int32_t rows, int32_t columns, uint16_t *levels, uint8_t *payloads,
                              size_t sizes[XRC_LAYERS], void *scratch, size_t size);

/* Decode a tile down to level `last`, 0 to 3.
 *
 * levels: (row, column) of that level.
 * fault:  where a payload broke a rule, if the status says that one did.
 */
xrc_status xrc_lattice_decode(const xrc_lattice_model *model, const xrc_lattice_setting *setting,
                              int32_t rows, int32_t columns, int32_t last,
                              const uint8_t *const payloads[XRC_LAYERS],
                              const size_t sizes[XRC_LAYERS], uint16_t *levels, xrc_fault *fault,
                              void *scratch, size_t size);

#endif
