"""differ.py REMOTE LOCAL SEED STEPS: makes the same random changes below both directories and tells where they differ."""
import errno, os, random, stat, sys

remote, local, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
names = ['a', 'b', 'c', 'd/a', 'd/b', 'd/e/a', 'd', 'd/e', 'f', 'long-' + 'x' * 20, 'line\nbreak', 'é ü']
opened = []  # pairs of descriptors
writing = []  # those of them that write
log = []


def both(what, call):
    """Calls with each top directory; both must do the same."""
    results = []
    for index, top in enumerate((remote, local)):
        try:
            results.append(call(top, index))
        except OSError as error:
            results.append(errno.errorcode[error.errno])
    log.append((what, results[1]))
    if results[0] != results[1]:
        for line in log[-60:]:
            print(*line)
        print('DIFFER', what, *results)
        sys.exit(1)
    return results[0]


def data():
    return bytes([chance.randrange(97, 123)]) * chance.choice([0, 1, 7, 100, 5000, 300_000])


def open_file():
    flags = chance.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
    for flag in (os.O_CREAT, os.O_TRUNC, os.O_APPEND, os.O_EXCL, os.O_NOFOLLOW):
        if chance.random() < 0.35:
            flags |= flag
    if flags & os.O_EXCL:
        flags |= os.O_CREAT
    name, mode, pair = chance.choice(names), chance.choice([0o600, 0o644, 0o755, 0o640]), [-1, -1]

    def call(top, index):
        pair[index] = os.open(f'{top}/{name}', flags, mode)
        return 'open'

    if both(f'open {name!r} {flags:o}', call) == 'open':
        opened.append(pair)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            writing.append(pair)


def on_open(what, call, among=opened):
    if among:
        pair = chance.choice(among)
        both(f'{what} {pair}', lambda top, index: call(pair[index]))


def shape_of(file):
    # Modes of directories are the target's to set.
    found = os.stat(file)
    return (found.st_mode & 0o700, found.st_size) if stat.S_ISREG(found.st_mode) else 'directory'


def close():
    if opened:
        pair = opened.pop(chance.randrange(len(opened)))
        writing[:] = [other for other in writing if other is not pair]
        both(f'close {pair}', lambda top, index: os.close(pair[index]))


def step():
    name, other, bytes_, at, size = chance.choice(names), chance.choice(names), data(), chance.randrange(400_000), chance.randrange(400_000)
    mode = chance.choice([0o600, 0o644, 0o750])
    choices = [
        (6, open_file),
        (3, close),
        (5, lambda: on_open(f'write {len(bytes_)}', lambda fd: os.write(fd, bytes_))),
        (3, lambda: on_open(f'pwrite {len(bytes_)} {at}', lambda fd: os.pwrite(fd, bytes_, at))),
        (3, lambda: on_open(f'pread {at}', lambda fd: os.pread(fd, 10_000, at))),
        (2, lambda: on_open('read', lambda fd: os.read(fd, 100_000))),
        (2, lambda: on_open(f'ftruncate {size}', lambda fd: os.ftruncate(fd, size))),
        (1, lambda: on_open('ftruncate 0', lambda fd: os.ftruncate(fd, 0))),
        (2, lambda: on_open('fsync', os.fsync)),
        (1, lambda: on_open(f'fchmod {mode:o}', lambda fd: os.fchmod(fd, mode), writing)),
        (2, lambda: on_open('fstat', shape_of)),
        (1, lambda: on_open('lseek', lambda fd: os.lseek(fd, 0, chance.choice([0])))),
        (2, lambda: both(f'stat {name!r}', lambda top, _: shape_of(f'{top}/{name}'))),
        (2, lambda: both(f'unlink {name!r}', lambda top, _: os.unlink(f'{top}/{name}'))),
        (3, lambda: both(f'rename {name!r} {other!r}', lambda top, _: os.rename(f'{top}/{name}', f'{top}/{other}'))),
        (3, lambda: both(f'mkdir {name!r}', lambda top, _: os.mkdir(f'{top}/{name}'))),
        (1, lambda: both(f'rmdir {name!r}', lambda top, _: os.rmdir(f'{top}/{name}'))),
        (1, lambda: both(f'truncate {name!r} {size}', lambda top, _: os.truncate(f'{top}/{name}', size))),
        (2, lambda: both(f'list {name!r}', lambda top, _: sorted(os.listdir(f'{top}/{name}')))),
        (1, lambda: both('list', lambda top, _: sorted(os.listdir(top)))),
        (1, lambda: both(f'access {name!r}', lambda top, _: os.access(f'{top}/{name}', os.F_OK))),
    ]
    weights = [weight for weight, _ in choices]
    chance.choices(choices, weights)[0][1]()


for _ in range(steps):
    step()
    if len(opened) > 12:
        close()
for fd in [fd for pair in opened for fd in pair]:
    os.close(fd)
print('same')
