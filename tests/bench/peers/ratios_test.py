"""Tests of ratios.py."""
import unittest

from ratios import Ratios, fastest, median, quantile


class Quantiles(unittest.TestCase):
    def test_interpolate_between_neighbours(self):
        self.assertEqual(quantile([4, 1, 3, 2], 0.5), 2.5)
        self.assertEqual(quantile([10, 20, 30, 40, 50], 0.25), 20)
        self.assertEqual(quantile([7], 0.75), 7)

    def test_of_the_ends_are_the_extremes(self):
        self.assertEqual((quantile([3, 1, 2], 0), quantile([3, 1, 2], 1)), (1, 3))


class PairedRatios(unittest.TestCase):
    def test_cancel_what_slows_both(self):
        theirs = [10.0, 10.0, 80.0, 10.0, 40.0]
        both = Ratios([t * 0.5 for t in theirs], theirs)
        self.assertEqual((both.median, both.low, both.high, both.best), (0.5, 0.5, 0.5, 0.5))

    def test_one_disturbed_round_moves_neither_the_median_nor_the_best(self):
        quiet = Ratios([1.0] * 9, [2.0] * 9)
        disturbed = Ratios([1.0] * 8 + [100.0], [2.0] * 9)
        self.assertEqual((disturbed.median, disturbed.best), (quiet.median, quiet.best))

    def test_spread_is_of_the_ratios_and_not_of_the_times(self):
        ratios = Ratios([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])
        self.assertEqual((ratios.low, ratios.median, ratios.high), (2, 3, 4))

    def test_differ_from_the_ratio_of_medians(self):
        self.assertEqual(Ratios([1, 10, 9], [1, 2, 30]).median, 1)
        self.assertNotEqual(median([1, 10, 9]) / median([1, 2, 30]), 1)

    def test_refuse_what_is_not_paired(self):
        for ours, theirs in (([], []), ([1, 2], [1])):
            with self.assertRaises(ValueError):
                Ratios(ours, theirs)


class Fastest(unittest.TestCase):
    def test_is_by_the_median_and_not_by_one_lucky_round(self):
        self.assertEqual(fastest({"a": [1, 9, 9], "b": [5, 5, 5]}), "b")


if __name__ == "__main__":
    unittest.main()
