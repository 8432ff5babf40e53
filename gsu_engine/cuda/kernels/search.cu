// A search in three launches, for vectors of 64 and of 128 components. All parameters lie in device memory; blocks are
// persistent: they take items until there are none, so the number of blocks is the device's affair, not the search's.
#include "threshold.cuh"
#include "filter.cuh"
#include "finish.cuh"

// Blocks of the first kernel that a multiprocessor is to hold: with two, its registers spill on Blackwell.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define SAMPLING_BLOCKS 1
#else
#define SAMPLING_BLOCKS 2
#endif

extern "C" __global__ void __launch_bounds__(THREADS, SAMPLING_BLOCKS) threshold_64(const Search* search) {
    DYNAMIC_SHARED(shared);
    threshold<64>(*search, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) filter_64(const Search* search) {
    DYNAMIC_SHARED(shared);
    filter<64>(*search, shared);
}

extern "C" __global__ void __launch_bounds__(FINISH_THREADS) finish_64(const Search* search) {
    DYNAMIC_SHARED(shared);
    finish<64>(*search, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, SAMPLING_BLOCKS) threshold_128(const Search* search) {
    DYNAMIC_SHARED(shared);
    threshold<128>(*search, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) filter_128(const Search* search) {
    DYNAMIC_SHARED(shared);
    filter<128>(*search, shared);
}

extern "C" __global__ void __launch_bounds__(FINISH_THREADS) finish_128(const Search* search) {
    DYNAMIC_SHARED(shared);
    finish<128>(*search, shared);
}
