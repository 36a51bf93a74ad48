/* Networks of integers, spec/network.md: what they are, and one call that evaluates them.
 *
 * The caller owns all memory. Sizes are asked for first:
 *
 *     xrc_network_size ──▶ memory ──▶ xrc_network_build ──▶ xrc_network_run
 *                                     xrc_network_scratch ──▶ scratch ──┘
 *
 * A built network is read-only, so that any number of threads may run it.
 */
#ifndef XRC_NETWORK_H
#define XRC_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "xrc_status.h"

enum {
    XRC_MAX_OPERATORS = 256,
    XRC_MAX_CHANNELS = 1024,
    XRC_MAX_SIDE = 1 << 16, /* rows or columns of one call */
};

typedef enum { XRC_CONVOLUTION = 0, XRC_ADDITION = 1, XRC_HEAD = 2 } xrc_kind;

/* One operator (spec/network.md, 2). Tensor 0 is the input; tensor t the result of operator t - 1. */
typedef struct {
    int32_t kind;          /* an xrc_kind */
    int32_t source;        /* tensor that it reads */
    int32_t change;        /* addition: the signed tensor */
    int32_t channels;      /* of its result */
    int32_t kernel;        /* convolution: 1 or 3 */
    int32_t is_signed;     /* convolution: the result is clipped to -128..127, and stored plus 128 */
    const int8_t *weight;  /* (output channel, input channel, kernel, kernel) */
    const int32_t *bias;   /* (output channel) */
    const int32_t *scale;  /* (output channel): shifts of a convolution, exponents of a head */
} xrc_operator;

typedef struct xrc_network xrc_network;

/* Bytes that a network takes, 0 if it breaks a rule of spec/network.md, 3 or 4. */
size_t xrc_network_size(int32_t channels, int32_t count, const xrc_operator *operators);

/* Build a network in `memory` of xrc_network_size bytes, aligned to 64. Weights are copied. */
xrc_status xrc_network_build(int32_t channels, int32_t count, const xrc_operator *operators,
                             void *memory, size_t size);

/* Bytes of scratch memory that a run over rows x columns takes, 0 for sizes beyond the limits. */
size_t xrc_network_scratch(const xrc_network *network, int32_t rows, int32_t columns);

/* Channels of a tensor, and the bytes from one pixel to the next where it is interleaved. */
int32_t xrc_network_stride(int32_t channels);

/* Channels that a network reads. */
int32_t xrc_network_channels(const xrc_network *network);

/* Whether an operator gives a tensor of so many channels, wide (of a head) or unsigned. */
int xrc_network_gives(const xrc_network *network, int32_t operator, int is_wide, int32_t channels);

/* Evaluate a network.
 *
 * input:   uint8, (row, column, stride of the channels); bytes after the channels count for nothing.
 * outputs: for each operator a place for its result or NULL: uint8 (row, column, stride) of a
 *          convolution or addition, int32 (row, column, channel) of a head.
 * scratch: of xrc_network_scratch bytes, aligned to 64.
 */
xrc_status xrc_network_run(const xrc_network *network, int32_t rows, int32_t columns,
                           const uint8_t *input, void *const *outputs, void *scratch, size_t size);

#endif
