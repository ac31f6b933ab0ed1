#pragma once
// Losses, as functions in the vocabulary, and so differentiated by its rules. Each gives one
// number, a mean over rows (or elements, pairs) as it says. A wrong shape latches an error in the
// graph.

#include "runtime/graph.h"

namespace inkling {

// Classes.

// -mean_i sum_j targets[i, j] log softmax(logits)[i, j].   logits, targets [rows, classes]; target
// rows sum to one, or to the weight of their row. The conditional logit of discrete choice
// (McFadden, 1974) is this loss with one logit an alternative.
ValueId softmax_cross_entropy(Graph& g, ValueId logits, ValueId targets);

// -mean (t log s + (1 - t) log(1 - s)), s = sigmoid(logits): any number of yes-or-no questions a
// row. logits, targets of one shape, targets 0 to 1; with smoothing t = (1 - smoothing) target +
// smoothing / 2 (Szegedy et al., CVPR 2016).
ValueId sigmoid_cross_entropy(Graph& g, ValueId logits, ValueId targets, double smoothing = 0);

// Hinton, Vinyals & Dean, 2015: mix T^2 H(softmax(teacher / T), softmax(student / T)) + (1 - mix)
// H(targets, softmax(student)), H the cross-entropy, means over rows. All [rows, classes].
ValueId distillation(Graph& g, ValueId student, ValueId teacher, ValueId targets,
                     double temperature = 2, double mix = 0.5);

// Numbers; means over all elements of x - y, of one shape.

ValueId mean_squared_error(Graph& g, ValueId x, ValueId y);
ValueId mean_absolute_error(Graph& g, ValueId x, ValueId y);
// d^2 / 2 up to |d| = delta, then delta (|d| - delta / 2) (Huber, 1964).
ValueId huber(Graph& g, ValueId x, ValueId y, double delta = 1);

// Order.

// mean -log sigmoid(better - worse): Bayesian personalised ranking (Rendle et al., UAI 2009)
// without its decay, and RankNet for pairs that are told apart. One shape.
ValueId pairwise_ranking(Graph& g, ValueId better, ValueId worse);
// RankNet (Burges et al., ICML 2005) over slates: the same, over all pairs of a slate of which one
// is more relevant. scores, relevance [slates, items]; zero where no pair is.
ValueId ranknet(Graph& g, ValueId scores, ValueId relevance);
// ListNet with top-one probabilities (Cao et al., ICML 2007): the cross-entropy of softmax(scores)
// with softmax(relevance). Both [slates, items].
ValueId listnet(Graph& g, ValueId scores, ValueId relevance);

// Embeddings, [rows, width].

// mean max(0, |anchor - positive|^2 - |anchor - negative|^2 + margin) (FaceNet: Schroff et al.,
// CVPR 2015).
ValueId triplet(Graph& g, ValueId anchor, ValueId positive, ValueId negative, double margin = 0.2);
// InfoNCE (van den Oord et al., 2018) within the batch: query i belongs to key i, the other keys
// are its negatives. The cross-entropy of softmax(queries keys^T / temperature).
ValueId info_nce(Graph& g, ValueId queries, ValueId keys, double temperature = 1);
// Rows of length one, x / sqrt(|x|^2 + 1e-12): cosines are their products.
ValueId unit_rows(Graph& g, ValueId x);

// Weights.

// sum_i (x_i - towards_i)^2: the pull of weights to given ones (ridge when `towards` is zero).
ValueId squared_distance(Graph& g, ValueId x, ValueId towards);

}  // namespace inkling
