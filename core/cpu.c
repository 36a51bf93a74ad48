/* Which kernels run: those of the processor, or those that were asked for. */
#include <stdint.h>
#include <string.h>

#include "kernels.h"

static const xrc_kernels *forced;

#if defined(__x86_64__) || defined(_M_X64)

#include <cpuid.h>

/* Which registers the operating system keeps for a process: XCR0. */
static uint32_t kept_registers(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* The processor is asked itself: what compilers bring for it is not there with every one of them. */
static const xrc_kernels *best(void)
{
    enum { OSXSAVE = 1 << 27, AVX2 = 1 << 5, AVX512F = 1 << 16, AVX512BW = 1 << 30, VNNI = 1 << 11 };
    const uint32_t avx512vl = (uint32_t)1 << 31, ymm = 6, zmm = 0xE6;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE) || (kept_registers() & ymm) != ymm)
        return &xrc_kernels_plain;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & AVX2))
        return &xrc_kernels_plain;
    if ((kept_registers() & zmm) == zmm && (b & AVX512F) && (b & AVX512BW) && (b & avx512vl) && (c & VNNI))
        return &xrc_kernels_vnni;
    return &xrc_kernels_avx2;
}

#else

static const xrc_kernels *best(void) { return &xrc_kernels_plain; }

#endif

const xrc_kernels *xrc_kernels_here(void) { return forced ? forced : best(); }

int xrc_force_kernels(const char *name)
{
    const xrc_kernels *fastest = best();
    const xrc_kernels *known[] = {
        &xrc_kernels_plain,
#if defined(__x86_64__) || defined(_M_X64)
        &xrc_kernels_avx2, &xrc_kernels_vnni,
#endif
    };
    if (!*name) {
        forced = NULL;
        return 1;
    }
    /* From the plainest to the fastest: what comes after the fastest is not there. */
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!strcmp(known[i]->name, name)) {
            forced = known[i];
            return 1;
        }
        if (known[i] == fastest)
            break;
    }
    return 0;
}
