// CUDA C++ for g++: the words and functions that kernels use. Warps, blocks and their order are in runtime.cpp.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "runtime.hpp"

#define MUSE_PRIMITIVES_ELSEWHERE
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __constant__ static
// Blocks take turns: what lies in this section is put away and brought back with its block.
#define __shared__ static __attribute__((section("muse_shared")))
#define DYNAMIC_SHARED(name) unsigned char* const name = emulator::dynamic_shared()

#define threadIdx (emulator::thread_index())
#define blockIdx (emulator::block_index())
#define blockDim (emulator::block_size())
#define gridDim (emulator::grid_size())
constexpr int warpSize = emulator::LANES;

#define MUSE_VECTOR2(type, of) \
    struct alignas(8) type { of x, y; }; \
    inline type make_##type(of x, of y) { return {x, y}; }
#define MUSE_VECTOR4(type, of) \
    struct alignas(16) type { of x, y, z, w; }; \
    inline type make_##type(of x, of y, of z, of w) { return {x, y, z, w}; }
MUSE_VECTOR2(int2, int)
MUSE_VECTOR2(uint2, unsigned)
MUSE_VECTOR2(float2, float)
MUSE_VECTOR4(int4, int)
MUSE_VECTOR4(uint4, unsigned)
MUSE_VECTOR4(float4, float)
struct alignas(16) longlong2 { long long x, y; };
struct alignas(16) ulonglong2 { unsigned long long x, y; };

#define MUSE_MIN_MAX(type) \
    inline type min(type a, type b) { return b < a ? b : a; } \
    inline type max(type a, type b) { return a < b ? b : a; }
MUSE_MIN_MAX(int)
MUSE_MIN_MAX(unsigned)
MUSE_MIN_MAX(long long)
MUSE_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }

namespace emulator {
template <class To, class From>
inline To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To result;
    memcpy(&result, &value, sizeof(result));
    return result;
}
}  // namespace emulator

inline unsigned __float_as_uint(float value) { return emulator::same_bits<unsigned>(value); }
inline int __float_as_int(float value) { return emulator::same_bits<int>(value); }
inline float __uint_as_float(unsigned value) { return emulator::same_bits<float>(value); }
inline float __int_as_float(int value) { return emulator::same_bits<float>(value); }
inline float __fmul_rn(float a, float b) { return a * b; }  // -ffp-contract=off: never fused
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __int2float_rn(int value) { return static_cast<float>(value); }
inline float __uint2float_rn(unsigned value) { return static_cast<float>(value); }

inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __popcll(unsigned long long value) { return __builtin_popcountll(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __ffsll(long long value) { return __builtin_ffsll(value); }
inline int __clz(int value) { return value ? __builtin_clz(static_cast<unsigned>(value)) : 32; }
inline int __clzll(long long value) { return value ? __builtin_clzll(static_cast<unsigned long long>(value)) : 64; }

template <class T>
inline T __ldg(const T* address) {
    return *address;
}

inline int __dp4a(int a, int b, int sum) {
    auto total = static_cast<unsigned>(sum);
    for (int byte = 0; byte < 32; byte += 8)
        total += static_cast<unsigned>(static_cast<signed char>(a >> byte) * static_cast<signed char>(b >> byte));
    return static_cast<int>(total);
}

#include "atomics.hpp"
#include "collectives.hpp"
#include "matrices.hpp"
