/* A pool of threads that runs the chunks of loops.  Plain C and POSIX threads: it knows nothing of Python.
 *
 * The caller takes chunks like everybody else and waits only for workers that have joined: a worker that sleeps, or whose
 * core another program holds, costs nothing.  There is one job at a time: who finds the pool busy (a call inside a task, or
 * of another thread) runs its chunks alone.  Workers look for the next job for a while before they sleep.
 */

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ __volatile__("yield")
#else
#define PAUSE() ((void)0)
#endif

enum { MOST_WORKERS = 255, SPINS = 4000, LAST_SPINS = 1000, MOST_ALONE = 64 };

typedef void (*Task)(void *arguments, int64_t first, int64_t last, int64_t worker);

/* The job, written by its caller while ``state`` is 0. */
static struct {
    Task task;
    void *arguments;
    int64_t n, chunk;
} job;
static _Alignas(64) _Atomic int64_t next_first; /* where the chunk that nobody has taken begins */

/* Workers may join while there are seats: seats * SEAT + CALLER_SLEEPS + workers that have joined and not left. */
enum { SEAT = 1 << 16, CALLER_SLEEPS = 1 << 15 };
static _Alignas(64) _Atomic uint32_t state;
static _Alignas(64) _Atomic uint32_t generation; /* of jobs; workers look for it to change */
static _Atomic uint32_t joined;                  /* workers of this job so far: gives them their numbers */
static _Atomic int sleeping;                     /* workers that wait to be woken */
static atomic_flag busy = ATOMIC_FLAG_INIT;
/* Who holds ``busy`` may read and write these. */
static int workers;            /* that were started */
static int alone, penalty = 1; /* jobs to run without workers; how many such the next disappointment brings */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t new_job = PTHREAD_COND_INITIALIZER, job_done = PTHREAD_COND_INITIALIZER;

/* Take chunks until there are none left. */
static void take_chunks(int64_t worker)
{
    const int64_t n = job.n, chunk = job.chunk;
    for (;;) {
        const int64_t first = atomic_fetch_add_explicit(&next_first, chunk, memory_order_relaxed);
        if (first >= n)
            return;
        job.task(job.arguments, first, n - first < chunk ? n : first + chunk, worker);
    }
}

static int join(void)
{
    uint32_t now = atomic_load_explicit(&state, memory_order_relaxed);
    while (now >= SEAT)
        if (atomic_compare_exchange_weak_explicit(
                &state, &now, now - SEAT + 1, memory_order_acquire, memory_order_relaxed))
            return 1;
    return 0;
}

static void leave(void)
{
    if (atomic_fetch_sub_explicit(&state, 1, memory_order_acq_rel) == (CALLER_SLEEPS | 1)) {
        pthread_mutex_lock(&lock);
        pthread_cond_signal(&job_done);
        pthread_mutex_unlock(&lock);
    }
}

/* Let nobody join any more, and wait for those who have.  Sleeping leaves this core to a worker that waits for one. */
static void wait_for_workers(void)
{
    uint32_t left = atomic_fetch_and_explicit(&state, SEAT - 1, memory_order_acquire) & (SEAT - 1);
    for (int spins = 0; left && spins < LAST_SPINS; spins++) {
        PAUSE();
        left = atomic_load_explicit(&state, memory_order_acquire);
    }
    if (!left)
        return;
    pthread_mutex_lock(&lock);
    left = atomic_fetch_or_explicit(&state, CALLER_SLEEPS, memory_order_acquire);
    while (left & (CALLER_SLEEPS - 1)) {
        pthread_cond_wait(&job_done, &lock);
        left = atomic_load_explicit(&state, memory_order_acquire);
    }
    atomic_store_explicit(&state, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

static void *work(void *unused)
{
    uint32_t seen = atomic_load(&generation) - 1; /* there may be a job already */
    for (;;) {
        int spins = 0;
        while (atomic_load_explicit(&generation, memory_order_acquire) == seen && spins++ < SPINS)
            PAUSE();
        if (spins >= SPINS) {
            pthread_mutex_lock(&lock);
            atomic_fetch_add(&sleeping, 1);
            while (atomic_load(&generation) == seen)
                pthread_cond_wait(&new_job, &lock);
            atomic_fetch_sub(&sleeping, 1);
            pthread_mutex_unlock(&lock);
        }
        seen = atomic_load_explicit(&generation, memory_order_acquire);
        if (join()) {
            take_chunks(1 + (int64_t)atomic_fetch_add_explicit(&joined, 1, memory_order_relaxed));
            leave();
        }
    }
    return unused;
}

/* In a child process there are no workers, and nobody is in the middle of a job. */
static void after_fork(void)
{
    atomic_store(&state, 0);
    atomic_store(&sleeping, 0);
    workers = alone = 0;
    penalty = 1;
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&new_job, NULL);
    pthread_cond_init(&job_done, NULL);
    atomic_flag_clear(&busy);
}

/* Start workers until there are ``count``, or the system gives no more.  Signals are for the threads of the program. */
static void start_workers(int count)
{
    static int knows_of_forks; /* who holds ``busy`` comes here */
    if (!knows_of_forks)
        knows_of_forks = !pthread_atfork(NULL, NULL, after_fork);
    if (!knows_of_forks)
        return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    if (!pthread_attr_init(&attributes)) {
        pthread_t thread;
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        while (workers < count && !pthread_create(&thread, &attributes, work, NULL))
            workers++;
        pthread_attr_destroy(&attributes);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void wake(int count)
{
    if (!atomic_load(&sleeping))
        return;
    pthread_mutex_lock(&lock);
    for (int left = atomic_load(&sleeping); count && left; count--, left--)
        pthread_cond_signal(&new_job);
    pthread_mutex_unlock(&lock);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A caller that waited longer than it worked would have been quicker alone: other programs hold the cores.  It goes
 * without workers once, then for two jobs, for four, ... until having them pays again.
 */
static void learn(int64_t worked, int64_t waited)
{
    if (waited <= worked)
        penalty = 1;
    else {
        alone = penalty;
        penalty = penalty < MOST_ALONE ? 2 * penalty : MOST_ALONE;
    }
}

static void run_alone(Task task, void *arguments, int64_t n, int64_t chunk)
{
    for (int64_t first = 0; first < n; first += chunk)
        task(arguments, first, n - first < chunk ? n : first + chunk, 0);
}

/* Run ``task(arguments, first, last, worker)`` for all chunks of 0 ... n, by ``threads`` at most; return when all is done.
 * Chunks begin at multiples of ``chunk``.  Workers have numbers below ``threads``; no two of one number run at once.
 */
void core_pool_run(Task task, void *arguments, int64_t n, int64_t chunk, int64_t threads)
{
    const int64_t chunks = (n + chunk - 1) / chunk;
    int64_t helpers = (threads < chunks ? threads : chunks) - 1;
    if (helpers > MOST_WORKERS)
        helpers = MOST_WORKERS;
    if (helpers < 1 || atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {
        run_alone(task, arguments, n, chunk);
        return;
    }
    if (workers < helpers)
        start_workers((int)helpers);
    if (alone > 0) {
        alone--;
        run_alone(task, arguments, n, chunk);
        atomic_flag_clear_explicit(&busy, memory_order_release);
        return;
    }
    const int64_t start = now_ns();
    job.task = task;
    job.arguments = arguments;
    job.n = n;
    job.chunk = chunk;
    atomic_store_explicit(&next_first, 0, memory_order_relaxed);
    atomic_store_explicit(&joined, 0, memory_order_relaxed);
    atomic_store_explicit(&state, (uint32_t)helpers * SEAT, memory_order_release);
    atomic_fetch_add(&generation, 1);
    wake((int)helpers);
    take_chunks(0);
    const int64_t done = now_ns();
    wait_for_workers();
    learn(done - start, now_ns() - done);
    atomic_flag_clear_explicit(&busy, memory_order_release);
}
