"""What a run of measurements in turn says: the statistics of tests/bench/peers/run."""


def quantile(values, share):
    """By linear interpolation between the sorted values."""
    values = sorted(values)
    at = share * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


def median(values):
    return quantile(values, 0.5)


class Ratios:
    """Of paired measurements: round i of one beside round i of the other, so that what slows a whole round down (another
    tenant, a lower clock) cancels out. `best` compares the fastest of each, whenever they were."""

    def __init__(self, ours, theirs):
        if not ours or len(ours) != len(theirs):
            raise ValueError(f"{len(ours)} measurements beside {len(theirs)}: expected pairs")
        each = [a / b for a, b in zip(ours, theirs)]
        self.median, self.low, self.high = median(each), quantile(each, 0.25), quantile(each, 0.75)
        self.best = min(ours) / min(theirs)

    def __str__(self):
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f}; best {self.best:.2f})"


def fastest(times):
    """The name with the smallest median."""
    return min(times, key=lambda name: median(times[name]))
