"""Figures of the topic-model stages."""

from __future__ import annotations

from mira_nb.stages.result import Figure

from .compute import TopicsOutput, top_features


def figures(fitted: TopicsOutput) -> list[Figure]:
    """Model, training, range test, shares, sparsity, redundancy, top features."""
    from mira_nb.charts import topics as charts

    fit = fitted.fit
    n_out = int(fit.held_out.sum())
    held = (
        f"Orange: {n_out:,} cells kept out of training. Both curves should rise and level off; a held-out curve that "
        "falls while the training curve rises means overfitting: train for fewer epochs or raise dropout."
        if n_out
        else "No cells were kept out of training."
    )
    out = [
        _model_figure(fitted),
        Figure(
            "training",
            "Training",
            "Evidence lower bound (ELBO) a cell after each epoch, higher is better. While the weight of the KL term "
            f"rises (below, right) the curve may move down. {held}",
            chart=charts.training_curves(fit.history),
        ),
    ]
    if len(fit.range_test):
        low, high = float(fit.settings.learning_rate_min), float(fit.settings.learning_rate_max)
        out.append(
            Figure(
                "range_test",
                "Learning-rate range test",
                "Loss while the learning rate rises from step to step, before training, against what the mean profile "
                "gives the same cells. The dashed lines are the rates "
                f"taken for the start ({low:.1e}) and the peak ({high:.1e}) of the schedule; the peak should lie where "
                "the loss still falls or is flat, left of where it climbs.",
                chart=charts.range_test_chart(fit.range_test, low=low, high=high),
            )
        )
    out += [
        Figure(
            "top_features",
            f"Top {fitted.what}s of a topic",
            f"The 20 {fitted.what}s of highest activation of the topic chosen in the menu.",
            chart=charts.top_feature_bars(top_features(fitted, n_top=20)),
        ),
        Figure(
            "topic_shares",
            "Use of the topics",
            "Number of cells (colour, logarithmic) by share of each topic, and the topic's mean share. A topic that "
            "marks a cell state has cells at both ends; one that never exceeds a few percent is hardly used.",
            chart=charts.topic_shares(fitted.topics),
        ),
        Figure(
            "effective_topics",
            "Sparsity of the cells",
            "Effective number of topics of each cell: exp(entropy) of its composition, 1 = a single topic, "
            f"{fit.n_topics} = all equally. Well-separated states lie at the left.",
            chart=charts.effective_topics(fitted.effective),
        ),
        Figure(
            "redundancy",
            "Similarity of the topics",
            f"Pearson correlation of activations over {len(fitted.features):,} {fitted.what}s between topics. Off the "
            "diagonal, values near 1 mark topics that describe the same programme: ask for fewer topics then.",
            chart=charts.redundancy_heatmap(fitted.correlation),
        ),
    ]
    return out


def _model_figure(fitted: TopicsOutput) -> Figure:
    from mira_nb.charts.architecture import architecture

    fit = fitted.fit
    drawing = architecture(
        "rna" if fitted.modality == "rna" else "atac",
        n_features=len(fitted.features),
        n_encoder=int(fit.encoder_features.sum()),
        n_topics=fit.n_topics,
        n_hidden=fit.settings.n_hidden,
    )
    return Figure(
        "architecture",
        "The model",
        "The encoder (upper row) reads a cell's counts and gives the posterior of its topics; the decoder (lower row) "
        "turns topics into a composition over all features, from which the counts are drawn. Both are trained "
        "together; the prior keeps topics sparse. The numbers are those of this fit.",
        svg=drawing,
        alt="Diagram of the topic model: encoder, topics, decoder and priors",
    )
