/* Which kernels run: those of the processor, or those that were asked for. */
#include <string.h>

#include "kernels.h"

static const xrc_kernels *forced;

#if defined(__x86_64__) || defined(_M_X64)

static const xrc_kernels *best(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl"))
        return &xrc_kernels_vnni;
    if (__builtin_cpu_supports("avx2"))
        return &xrc_kernels_avx2;
    return &xrc_kernels_plain;
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
