// Third kernel: the K best of each candidate's hits, best first; a block per candidate.
//
// A list is whole where no hit was without room, and there are K hits or every row was one. Where it is not, because
// the guess was too high, or very many rows have nearly one score, the block scans the user's rows itself, newest first,
// and cuts its list to the K best whenever it is full: slow, always right, rare.
#pragma once
#include "tiles.cuh"

#define FINISH_THREADS 128
#define FINISH_WARPS 4

struct FinishMemory {
    int sums[2][FINISH_WARPS];
    int kept;
};

// Sum over the block. `turn` alternates between calls, so that one barrier is enough.
__device__ __forceinline__ int block_sum(int value, FinishMemory* memory, int turn) {
    value = (int)__reduce_add_sync(ALL_LANES, (uint32)value);
    if (threadIdx.x % 32 == 0) memory->sums[turn % 2][threadIdx.x / 32] = value;
    __syncthreads();
    int total = 0;
    for (int warp = 0; warp < FINISH_WARPS; warp++) total += memory->sums[turn % 2][warp];
    return total;
}

// Moves the best keys, at least `wanted` and at most `most` of them, to `best`, in any order; fewer where there are
// fewer. Returns how many. All keys are below `top`; `count` > `most` >= `wanted`.
__device__ __forceinline__ int take_best(const uint64* keys, int count, int wanted, int most, uint64 bottom, uint64 top,
                                         uint64* best, FinishMemory* memory) {
    uint64 low = bottom, high = top;  // more than `most` keys are at least `low`, fewer than `wanted` at least `high`
    int reached = 0;
    for (int turn = 0; reached < wanted || reached > most; turn++) {
        uint64 middle = low + (high - low) / 2;
        int own = 0;
        for (int i = threadIdx.x; i < count; i += FINISH_THREADS) own += keys[i] >= middle;
        reached = block_sum(own, memory, turn);
        if (reached > most)
            low = middle;
        else
            high = middle;
    }
    if (threadIdx.x == 0) memory->kept = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += FINISH_THREADS)
        if (keys[i] >= high) best[atomicAdd(&memory->kept, 1)] = keys[i];
    __syncthreads();
    return reached;
}

// Bitonic, largest first; `size` is a power of two.
__device__ __forceinline__ void sort(uint64* keys, int size) {
    for (int run = 2; run <= size; run *= 2)
        for (int step = run / 2; step > 0; step /= 2) {
            for (int i = threadIdx.x; i < size / 2; i += FINISH_THREADS) {
                int low = i / step * step * 2 + i % step, high = low + step;
                bool falls = (low & run) == 0;
                uint64 a = keys[low], b = keys[high];
                if (falls ? a < b : a > b) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
            __syncthreads();
        }
}

template <int width>
struct Finish {
    const Search& search;
    const Pair& pair;
    int candidate;
    uint64* keys;  // [room]
    uint64* best;  // [most_kept]
    FinishMemory* memory;
    int count;  // keys in the list; the same in all threads

    // Scores lie within rounding of -1..1.
    static __device__ __forceinline__ uint64 bottom() { return key_of(-2.0f, 0); }
    static __device__ __forceinline__ uint64 top() { return key_of(2.0f, 0); }

    __device__ __forceinline__ void run() {
        float norm = search.candidate_norms[candidate];
        uint32 hits = norm == 0 || pair.length == 0 ? 0 : search.counts[candidate];
        count = min(hits, (uint32)search.room);
        const uint64* list = search.hits + (uint64)candidate * search.room;
        for (int i = threadIdx.x; i < count; i += FINISH_THREADS) keys[i] = list[i];
        __syncthreads();
        bool all_hit = pair.sampled == 0 || search.thresholds[candidate] == BELOW_ALL;
        bool is_whole = hits <= (uint32)search.room && (count >= search.k || all_hit);
        if (norm != 0 && pair.length != 0 && !is_whole) scan(norm);
        rank();
        write();
    }

    // Leaves the K best, largest first, at the front of `best`.
    __device__ __forceinline__ void rank() {
        if (count > search.most_kept)
            count = take_best(keys, count, search.k, search.most_kept, bottom(), top(), best, memory);
        else
            for (int i = threadIdx.x; i < count; i += FINISH_THREADS) best[i] = keys[i];
        int size = 1;
        while (size < count) size *= 2;
        for (int i = count + threadIdx.x; i < size; i += FINISH_THREADS) best[i] = 0;
        __syncthreads();
        sort(best, size);
    }

    // Cuts the list to its K best; returns the least of them.
    __device__ __forceinline__ uint64 cut() {
        rank();
        count = min(count, search.k);
        for (int i = threadIdx.x; i < count; i += FINISH_THREADS) keys[i] = best[i];
        __syncthreads();
        return keys[count - 1];
    }

    __device__ __forceinline__ void scan(float norm) {
        uint64 least = 0;  // K rows have at least this key
        if (count >= search.k) least = cut();
        count = 0;
        __syncthreads();
        for (int from = 0; from < pair.length; from += FINISH_THREADS) {
            uint64 key = key_at(pair.length - 1 - from - (int)threadIdx.x, norm);
            if (threadIdx.x == 0) memory->kept = count;
            __syncthreads();
            if (key != 0 && key >= least) keys[atomicAdd(&memory->kept, 1)] = key;
            __syncthreads();
            count = memory->kept;
            if (count + FINISH_THREADS > search.room) least = cut();
        }
    }

    // 0 where there is no row that counts.
    __device__ __forceinline__ uint64 key_at(int place, float norm) const {
        if (place < 0) return 0;
        if (pair.allowed_at >= 0 && !(search.allowed[pair.allowed_at + place / 8] >> place % 8 & 1)) return 0;
        uint64 page = search.page_table[pair.table_at + entry_of(search, pair, place)];
        uint32 slot = search.pages[page * PAGE_SLOTS + (uint32)(pair.head + place) % PAGE_SLOTS];
        float row_norm = search.inv_norms[slot];
        if (row_norm == 0 || (search.excluded && search.excluded[candidate] == slot)) return 0;
        const int4* row = (const int4*)(search.vectors + (uint64)slot * width);
        const int4* own = (const int4*)(search.candidates + (uint64)candidate * width);
        int dot = 0;
#pragma unroll
        for (int chunk = 0; chunk < width / 16; chunk++) {
            int4 a = row[chunk], b = own[chunk];
            dot = __dp4a(a.w, b.w, __dp4a(a.z, b.z, __dp4a(a.y, b.y, __dp4a(a.x, b.x, dot))));
        }
        return key_of(__fmul_rn(__fmul_rn(__int2float_rn(dot), row_norm), norm), place);
    }

    __device__ __forceinline__ void write() {
        int found = min(count, search.k);
        int64 at = (int64)candidate * search.k;
        for (int i = threadIdx.x; i < search.k; i += FINISH_THREADS) {
            search.scores[at + i] = i < found ? from_ascending((uint32)(best[i] >> 32)) : 0;
            search.places[at + i] = i < found ? (int)(uint32)best[i] : -1;
        }
        if (threadIdx.x == 0) search.found[candidate] = found;
        __syncthreads();
    }
};

template <int width>
__device__ __forceinline__ void finish(const Search& search, uint8* shared) {
    uint64* keys = (uint64*)shared;
    uint64* best = keys + search.room;
    FinishMemory* memory = (FinishMemory*)(best + search.most_kept);
    for (int candidate = blockIdx.x; candidate < search.candidate_count; candidate += gridDim.x) {
        const Pair& pair = search.pairs[pair_with<&Pair::first_candidate>(search, candidate)];
        Finish<width> work{search, pair, candidate, keys, best, memory, 0};
        work.run();
    }
}
