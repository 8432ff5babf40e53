/* A disk that is slow on demand, for a program that is started with this library in LD_PRELOAD.
 *
 * While the file $SLOW_DISK_SWITCH exists, every write to and every sync of a file below $SLOW_DISK_DIRECTORY takes as
 * many milliseconds longer as that file says, as a throttled disk makes them wait. Everything else, reads included, is
 * as it was. The call itself is the C library's own. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *switch_path, *directory;

__attribute__((constructor)) static void begin(void)
{
    switch_path = getenv("SLOW_DISK_SWITCH");
    directory = getenv("SLOW_DISK_DIRECTORY");
}

static int below(int file)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    size_t wanted = strlen(directory);
    return strncmp(path, directory, wanted) == 0 && path[wanted] == '/';
}

static void wait_for_disk(int file)
{
    int before = errno;
    char text[16] = {0};
    int opened = switch_path && directory ? open(switch_path, O_RDONLY | O_CLOEXEC) : -1;
    if (opened >= 0) {
        long milliseconds = read(opened, text, sizeof text - 1) > 0 ? atol(text) : 0;
        close(opened);
        if (milliseconds > 0 && below(file)) {
            struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
            while (nanosleep(&left, &left) != 0 && errno == EINTR)
                ;
        }
    }
    errno = before;
}

#define SLOWED(result, name, parameters, ...)                                                                          \
    result name parameters                                                                                             \
    {                                                                                                                  \
        static result(*real) parameters;                                                                               \
        if (!real)                                                                                                     \
            real = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                                      \
        wait_for_disk(file);                                                                                           \
        return real(__VA_ARGS__);                                                                                      \
    }

SLOWED(ssize_t, write, (int file, const void *data, size_t size), file, data, size)
SLOWED(ssize_t, writev, (int file, const struct iovec *parts, int count), file, parts, count)
SLOWED(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), file, data, size, at)
SLOWED(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), file, data, size, at)
SLOWED(int, fsync, (int file), file)
SLOWED(int, fdatasync, (int file), file)
