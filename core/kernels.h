/* Kernels, one row of pixels at a time, in variants that give the same bytes.
 *
 * Activations are bytes, channels last. Weights lie as the kernels read them: blocks of LANES output
 * channels; in a block, for each tap and each four input channels, LANES x 4 weights. One 32-bit
 * activation group times one such row of weights adds to LANES sums.
 */
#ifndef XRC_KERNELS_H
#define XRC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "features.h"

enum { XRC_LANES = 8 }; /* output channels of a block: one AVX2 register of sums */

typedef struct {
    int32_t taps;       /* 1 or 9 */
    int32_t groups;     /* of four input channels */
    int32_t in_stride;  /* bytes of an input pixel */
    int32_t blocks;     /* of output channels */
    int32_t out_stride; /* bytes of an output pixel: 8 x blocks; a head: its channels */
    int32_t zero;       /* what is added to a stored result: 128 if it is signed */
    const int8_t *weight;   /* (block, tap, group, lane, 4) */
    const int32_t *bias;    /* (block, lane) */
    const int32_t *scale;   /* (block, lane): shifts or exponents */
    const float *factor;    /* (block, lane): 2^-shift */
} xrc_layer;

/* Convolve and requantise one row (spec/network.md, 2).
 *
 * rows:  where the first pixel of each row of taps begins: three pointers for 9 taps, to the pixel
 *        left of the first output; one for 1 tap.
 * added: NULL, or a row of unsigned pixels to which the signed result is added before it is stored.
 */
typedef void xrc_convolve_row(const xrc_layer *layer, const uint8_t *const rows[3], int32_t columns,
                              const uint8_t *added, uint8_t *out);

/* A head's row: sums times 2^exponent, int32 (column, channel). */
typedef void xrc_head_row(const xrc_layer *layer, const uint8_t *row, int32_t columns,
                          int32_t channels, int32_t *out);

typedef struct {
    const char *name;
    xrc_convolve_row *convolve;
    xrc_head_row *head;
    xrc_describe_row *describe;
} xrc_kernels;

extern const xrc_kernels xrc_kernels_plain;
#if defined(__x86_64__) || defined(_M_X64)
extern const xrc_kernels xrc_kernels_avx2;
extern const xrc_kernels xrc_kernels_vnni;
#elif defined(__aarch64__)
extern const xrc_kernels xrc_kernels_dotprod;
#elif defined(__wasm_simd128__)
extern const xrc_kernels xrc_kernels_simd128;
#endif

/* The kernels of this processor, or those that xrc_force_kernels chose. */
const xrc_kernels *xrc_kernels_here(void);

/* Have `name` chosen from now on; 0 if this build or processor does not have it. "" chooses freely. */
int xrc_force_kernels(const char *name);

#endif
