// A search in three launches, for vectors of 64 and of 128 components. All parameters lie in device memory; blocks are
// persistent: they take items until there are none, so the number of blocks is the device's affair, not the search's.
#include "threshold.cuh"
#include "filter.cuh"
#include "finish.cuh"

#define KERNELS_FOR(width)                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) threshold_##width(const Search* search) {        \
        DYNAMIC_SHARED(shared);                                                                               \
        threshold<width>(*search, shared);                                                                    \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) filter_##width(const Search* search) {           \
        DYNAMIC_SHARED(shared);                                                                               \
        filter<width>(*search, shared);                                                                       \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(FINISH_THREADS) finish_##width(const Search* search) {       \
        DYNAMIC_SHARED(shared);                                                                               \
        finish<width>(*search, shared);                                                                       \
    }

KERNELS_FOR(64)
KERNELS_FOR(128)
