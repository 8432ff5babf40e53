"""State, at the bottom: the GPUs beside the CPUs. All zero where there is none."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards.common import BAD, About, Query
from deploy.dashboards.panels import lines, tile
from deploy.dashboards.promql import fullest, per_second, share, total

ANSWERED, ELSEWHERE = "muse_gpu_pairs_answered_total", "muse_gpu_pairs_elsewhere_total"


def gpu() -> Iterator[Panel]:
    """Use, saturation, errors."""
    yield from _answered()
    yield from _gpu_memory()


def _answered() -> Iterator[Panel]:
    """What GPUs answer, and what they do not."""
    yield tile(
        About(
            "GPUs lost",
            "none",
            means="GPUs that failed since their worker started; the CPU answers there, later but alike.",
            do="On that worker: dmesg and nvidia-smi, then restart it.",
            width=4,
            limits=((1, BAD),),
        ),
        Query(total("muse_gpu_lost_total"), "lost"),
    )
    yield lines(
        About(
            "Answered on a GPU",
            "percentunit",
            means="Share of users with their candidates that a GPU answered, where there is one.",
            do="Low: the reasons are beside.",
            width=5,
        ),
        Query(share(per_second(ANSWERED), f"({per_second(ANSWERED)} + {per_second(ELSEWHERE)})"), "on a GPU"),
        top=1,
    )
    yield lines(
        About(
            "Answered beside a GPU, by reason",
            "cps",
            means="Users with their candidates that the CPU answered though there is a GPU.",
            do="`lost`: as above. `memory`: others use this GPU. `no_room`: raise engine.gpu_bytes.",
            width=5,
        ),
        Query(per_second(ELSEWHERE, by="reason"), "{{reason}}"),
        stacked=True,
    )
    yield lines(
        About(
            "Searches and their wait",
            "s",
            means="Time that a search waits for a GPU, on average.",
            do="Growing with steady traffic: the GPU is shared, throttled or at its limit; dcgm-exporter tells.",
            width=5,
        ),
        Query(share(per_second("muse_gpu_wait_seconds_total"), per_second("muse_gpu_searches_total")), "per search"),
    )


def _gpu_memory() -> Iterator[Panel]:
    """What they hold."""
    yield lines(
        About(
            "GPU memory of histories, fullest",
            "percentunit",
            means="Share of what is set aside for histories that is used, on the fullest GPU. Full is normal.",
            do="Full with many that left for room: raise engine.gpu_bytes if the GPU has memory.",
            width=5,
        ),
        Query(fullest("muse_gpu_pool_bytes", "muse_gpu_pool_budget_bytes"), "fullest"),
        top=1,
    )
    yield lines(
        About(
            "GPU memory",
            "bytes",
            means="Memory that histories and vectors take on all GPUs.",
            do="It is bounded by settings; compare with dcgm-exporter's used memory to see what others take.",
            width=12,
        ),
        Query(total("muse_gpu_pool_bytes"), "histories"),
        Query(total("muse_gpu_table_bytes"), "vectors"),
        stacked=True,
    )
    yield lines(
        About(
            "Resident on GPUs",
            "short",
            means="Users and behaviours on GPUs, and users that left for room per second.",
            do="Many that leave for room: as beside the panel above, raise engine.gpu_bytes.",
            width=12,
        ),
        Query(total("muse_gpu_pool_users"), "users"),
        Query(total("muse_gpu_pool_behaviours"), "behaviours"),
        Query(per_second("muse_gpu_pool_evictions_total"), "left per second"),
        log=True,
    )
