// What the hardware does in one instruction and C++ has no words for. Everything else in this folder is plain CUDA C++.
//
// A build that defines MUSE_PRIMITIVES_ELSEWHERE brings functions of the same names and meaning; the tests do, to run
// the kernels on a CPU.
//
// Fragments of mma.m16n8k32 (PTX ISA, "Matrix Fragments for mma.m16n8k32"), lane = 4 * g + t:
//   a[0..3]  rows g, g + 8, g, g + 8 of the 16 x 32 left side; bytes 4t..4t+3 of its first 16 columns (a[0], a[1]) or
//            of its second 16 (a[2], a[3])
//   b[0..1]  column g of the 32 x 8 right side; bytes 4t..4t+3 of its first 16 rows (b[0]) or of its second 16 (b[1])
//   c[0..3]  (row g, column 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) of the 16 x 8 sum
#pragma once

typedef signed char int8;
typedef unsigned char uint8;
typedef unsigned int uint32;
typedef long long int64;
typedef unsigned long long uint64;

#define ALL_LANES 0xffffffffu

#ifndef MUSE_PRIMITIVES_ELSEWHERE

// The block's dynamic shared memory.
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) uint8 name[]

// This thread's number in its warp, read anew at each use: where it is wanted in a rare branch of a hot loop, what follows
// from it is then computed there and takes no registers outside.
__device__ __forceinline__ int lane_now() {
    int lane;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}

// c += a * b, int8 products summed in int32: exact.
__device__ __forceinline__ void multiply_add(int (&c)[4], const uint32 (&a)[4], uint32 b0, uint32 b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 16 byte matrices out of shared memory. Lane l gives the address of row l % 8 of matrix l / 8 (16 bytes,
// aligned), and gets bytes 4t..4t+3 of row g of each matrix.
__device__ __forceinline__ void load_matrices(uint32 (&out)[4], const void* row) {
    uint32 address = static_cast<uint32>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
}

// Begin to copy 16 bytes from global to shared memory; both aligned to 16.
__device__ __forceinline__ void begin_copy(void* to_shared, const void* from_global) {
    uint32 address = static_cast<uint32>(__cvta_generic_to_shared(to_shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from_global) : "memory");
}

// Close the group of copies that this thread has begun since the last call.
__device__ __forceinline__ void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most `pending` of this thread's closed groups are under way. Other threads see what was copied after
// the next __syncthreads().
template <int pending>
__device__ __forceinline__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

#endif
