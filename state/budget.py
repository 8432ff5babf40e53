"""Memory of all stores of a process: one block cache and one bound on write buffers, shared.

Invariant: opening more partitions does not raise these two bounds.
"""

from dataclasses import dataclass, field

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, WriteBufferManager

_BLOCK_BYTES = 16 * 1024  # two merged chunks of 256 rows: half the index of 4 KiB blocks, zstd finds more to share
_MEMTABLE_BYTES = 32 * 1024 * 1024  # a flush every million behaviours; a restart replays at most this much WAL


@dataclass(frozen=True)
class StoreBudget:
    """Shared limits; give the same object to every store of the process.

    Attributes:
        block_cache_bytes: Uncompressed blocks kept for reads.
        write_buffer_bytes: Unflushed rows of all stores together; beyond it the store that writes flushes.
        tail_users: Users per store and generation whose tail is kept in memory (about 60 bytes each, two
            generations); others cost one reverse seek at their next behaviour.

    """

    block_cache_bytes: int = 128 * 1024 * 1024
    write_buffer_bytes: int = 128 * 1024 * 1024
    tail_users: int = 262_144
    _cache: Cache = field(init=False, repr=False, compare=False)
    _buffers: WriteBufferManager = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cache", Cache(self.block_cache_bytes))
        object.__setattr__(self, "_buffers", WriteBufferManager(self.write_buffer_bytes, False))

    def options(self) -> Options:
        """RocksDB options of one store under this budget."""
        table = BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_block_size(_BLOCK_BYTES)
        options = Options(raw_mode=True)
        options.set_block_based_table_factory(table)
        options.set_write_buffer_manager(self._buffers)
        options.set_write_buffer_size(_MEMTABLE_BYTES)
        options.set_compression_type(DBCompressionType.zstd())
        options.set_keep_log_file_num(4)
        options.set_max_log_file_size(4 * 1024 * 1024)
        return options

    def used_bytes(self) -> tuple[int, int]:
        """Bytes in use now: (block cache, write buffers)."""
        return self._cache.get_usage(), self._buffers.get_usage()
