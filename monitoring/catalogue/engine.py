"""The search engine: vectors, resident histories, GPU."""

from muse_stream.monitoring.catalogue.definition import counter, gauge

ENGINE_INFO = gauge("muse_engine_info", "1; the label says which backend searches.", "backend")
TABLE_ROWS = gauge("muse_engine_table_rows", "Items with a vector.", "space")
TABLE_BYTES = gauge("muse_engine_table_bytes", "Bytes of the vector table.", "space")
TABLE_REFUSED = counter("muse_engine_table_refused_total", "Vectors that found no room in the table.", "space")
INDEX_ITEMS = gauge("muse_engine_index_items", "Items that have a slot, with or without a vector.")
INDEX_BYTES = gauge("muse_engine_index_bytes", "Bytes of the item index.")
INDEX_REFUSED = counter("muse_engine_index_refused_total", "Behaviours whose item found no slot: the index is full.")
POOL_USERS = gauge("muse_engine_pool_users", "Users whose history is resident.")
POOL_BEHAVIOURS = gauge("muse_engine_pool_behaviours", "Behaviours in resident histories.")
POOL_BYTES = gauge("muse_engine_pool_bytes", "Bytes of resident histories.")
POOL_BUDGET = gauge("muse_engine_pool_budget_bytes", "Most bytes that resident histories may take.")
POOL_EVICTIONS = counter("muse_engine_pool_evictions_total", "Users that left the pool for room.")
POOL_HITS = counter("muse_engine_pool_hits_total", "Histories that were resident when a search needed them.")
POOL_MISSES = counter("muse_engine_pool_misses_total", "Histories that had to be loaded from the store first.")
PACKED_USERS = gauge("muse_engine_packed_users", "Hot users, whose rows lie packed for the search.")
PACKED_BYTES = gauge("muse_engine_packed_bytes", "Bytes of packed rows.")
PACKED_BUDGET = gauge("muse_engine_packed_budget_bytes", "Most bytes that packed rows may take.")
PACKED_EVICTIONS = counter("muse_engine_packed_evictions_total", "Users whose packed rows left for room.")
PACKED_HITS = counter("muse_engine_packed_hits_total", "Histories searched in packed rows.")
PACKED_MISSES = counter("muse_engine_packed_misses_total", "Histories whose rows were gathered for the search.")
STANDING_ANSWERS = gauge(
    "muse_engine_standing_candidates", "Candidates whose answer stands: the next one looks at new rows only."
)
STANDING_SERVED = counter("muse_engine_standing_served_total", "Candidates answered by a standing answer.")
STANDING_ROWS = counter(
    "muse_engine_standing_rows_scored_total", "New rows scored to bring standing answers up to date."
)
STANDING_REFILLS = counter("muse_engine_standing_refills_total", "Standing answers that had to be searched for again.")
SEARCHES = counter("muse_engine_searches_total", "Search calls; one may serve several requests.")
SEARCH_CANDIDATES = counter("muse_engine_search_candidates_total", "Candidates searched for.")
SEARCH_SECONDS = counter("muse_engine_search_seconds_total", "Time inside the search backend.")
LOAD_SECONDS = counter("muse_engine_load_seconds_total", "Time spent on loading histories into the pool.")

GPU_LOST = counter(
    "muse_gpu_lost_total", "GPUs that failed; the CPU answers since then, until the worker is started again."
)
GPU_SEARCHES = counter("muse_gpu_searches_total", "Search calls that a GPU took part in.")
GPU_ANSWERED = counter("muse_gpu_pairs_answered_total", "Users with their candidates that a GPU answered.")
GPU_ELSEWHERE = counter(
    "muse_gpu_pairs_elsewhere_total", "Users with their candidates that the CPU answered beside a GPU.", "reason"
)
GPU_WAIT = counter("muse_gpu_wait_seconds_total", "Time that searches waited for a GPU.")
GPU_USERS = gauge("muse_gpu_pool_users", "Users whose history is on a GPU.")
GPU_BEHAVIOURS = gauge("muse_gpu_pool_behaviours", "Behaviours in histories on a GPU.")
GPU_BYTES = gauge("muse_gpu_pool_bytes", "GPU memory that histories use.")
GPU_BUDGET = gauge("muse_gpu_pool_budget_bytes", "GPU memory that is set aside for histories.")
GPU_EVICTIONS = counter("muse_gpu_pool_evictions_total", "Users that left a GPU for room.")
GPU_TABLE = gauge("muse_gpu_table_bytes", "GPU memory that vectors take.")
