/* AVX2 and, from one source, AVX-512 VNNI on 256-bit registers.
 *
 * vpmaddubsw adds two neighbouring products and saturates at int16; |weight| <= 64 keeps the pair at
 * 32640 or below (spec/network.md, 4), so that sums are exact. vpdpbusd does the same without the pair.
 */
#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>
#include <string.h>

#include "kernels.h"
#include "tables.h"

#define INLINE static inline __attribute__((always_inline))

#define XRC_TARGET __attribute__((target("avx2")))
#define XRC_NAME(x) x##_avx2
INLINE XRC_TARGET __m256i accumulate_avx2(__m256i sum, __m256i pixels, __m256i weights)
{
    __m256i pairs = _mm256_maddubs_epi16(pixels, weights);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#include "x86.inc"
#include "features.inc"
const xrc_kernels xrc_kernels_avx2 = {"avx2", convolve_row_avx2, head_row_avx2,
                                       describe_row_avx2};
#undef XRC_TARGET
#undef XRC_NAME

#define XRC_TARGET __attribute__((target("avx2,avx512f,avx512vl,avx512bw,avx512vnni")))
#define XRC_NAME(x) x##_vnni
INLINE XRC_TARGET __m256i accumulate_vnni(__m256i sum, __m256i pixels, __m256i weights)
{
    return _mm256_dpbusd_epi32(sum, pixels, weights);
}
#include "x86.inc"
#include "features.inc"
const xrc_kernels xrc_kernels_vnni = {"vnni", convolve_row_vnni, head_row_vnni,
                                       describe_row_vnni};

#endif
