"""How each analysis measures, where that comes from, and what it cannot show; in words, for a report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """An analysis in words."""

    title: str
    """its name for people"""
    how: str
    limits: str
    leads: tuple[str, ...]
    """the names of its measures that the findings show"""
    sources: str = ""


METHODS = {
    "load_report": Method(
        "Load report",
        "Every weight of both models is compared, number by number: the share that differs, and the norm of the difference over the norm of base, by layer. Weights, tokenizers and chat templates are identified by SHA-256.",
        "How far weights moved does not say what the model does differently: a small change may matter much, and a large one little.",
        ("changed_share", "relative_change"),
    ),
    "generation": Method(
        "Both answers",
        "Both models answer the same messages, each in its own prompt format, greedily or with a stated seed. Log-probabilities are of the full vocabulary, before temperature and cuts.",
        "One answer to one instruction is one example. With sampling another seed gives another answer. How sure a model is does not say whether it is right.",
        ("shared_words", "tuned_answer_tokens", "base_answer_tokens"),
    ),
    "shift": Method(
        "Token distribution shift",
        "One answer is read, by ids, by both models, each after its own prompt. A token is unshifted where it is the other model's own first choice, marginal at ranks 2 to 3, shifted beyond. Noise floors: what batches, kernels and threads (99th percentile) and neutral rewordings of the instruction (90th percentile) change in one and the same model. Format and weights are parted by the two-factor Shapley value.",
        "A shift says that the models differ here, not whether that is better or why. Ranks depend on the prompt format. What lies within the noise floor says nothing about tuning.",
        ("shifted_share", "beyond_noise_share", "mean_log_ratio"),
        "Lin et al. 2024, The Unlocking Spell on Base LLMs (arXiv 2312.01552), section 2.",
    ),
    "survey": Method(
        "Many instructions",
        "Each instruction is asked by itself; the tuned answer is read by both models as in the token distribution shift. Means have 95 % bootstrap intervals over the instructions (BCa). Checks count what an instruction verifiably asks for.",
        "The intervals are for instructions like those on the list; of others they say nothing. Checks hold only what can be counted, not whether an answer is good or true.",
        ("shifted_share", "log_ratio", "checks_passed_difference"),
        "Lin et al. 2024 (arXiv 2312.01552); Efron 1987; Zhou et al. 2023, IFEval (arXiv 2311.07911).",
    ),
    "attention": Method(
        "Attention maps",
        "What every head of a layer looks at while both models read the same prompt and answer; each row adds up to 1.",
        "Where a head looks is not what the answer relied on: what is looked at may be passed on weakly, or not used. The first token often gathers the look that goes nowhere else.",
        ("mean_row_change", "largest_weight_change"),
        "Vaswani et al. 2017; Jain and Wallace 2019, Attention is not Explanation; Abnar and Zuidema 2020 (rollout); Kobayashi et al. 2020 (weighted by values).",
    ),
    "atlas": Method(
        "All heads at a glance",
        "The change of a head is the Jensen-Shannon divergence between the two models' rows, mean over the answer's tokens: 0 is the same look, 0.69 nats nothing in common.",
        "A changed look is not a changed answer: whether a head matters shows only when it is switched off.",
        ("largest_head_change", "mean_head_change"),
        "Olsson et al. 2022 (induction and previous-token scores).",
    ),
    "ablation": Method(
        "Causal check",
        "One head at a time is switched off, and the same answer is read again: the change of its log-probability.",
        "Heads can stand in for one another, so that switching one off may show nothing. A head that is off is a model that was never trained.",
        ("tuned_largest_drop", "base_largest_drop"),
        "Michel et al. 2019, Are Sixteen Heads Really Better than One?",
    ),
    "attribution": Method(
        "Attribution scores",
        "How much each part of the text raised or lowered the explained quantity of chosen answer tokens, by the method that the request names.",
        "Methods disagree, and a score is no proof of a cause. Read it together with faithfulness, agreement and randomisation, where these were measured.",
        ("tuned_top_share", "base_top_share", "largest_score_change"),
        "Simonyan et al. 2014; Sundararajan et al. 2017 (integrated gradients); Lundberg and Lee 2017 (Shapley values); Cohen-Wang et al. 2024 (sparse surrogate).",
    ),
    "faithfulness": Method(
        "Faithfulness",
        "The highest scored parts are taken away, or alone kept, and the change of the explained quantity is held against random orders of the same parts on the same model.",
        "Texts with parts taken away are unlike those that the model was trained on. Better than chance does not mean complete.",
        ("tuned_p", "base_p"),
        "DeYoung et al. 2020, ERASER (comprehensiveness, sufficiency); Edin et al. 2024 (normalised area).",
    ),
    "density": Method(
        "Importance density",
        "How densely the answer's tokens depend on the instruction's words: slopes of each answer token's probability, cut into ten levels of which the upper three count; norms over the answer.",
        "Each model is measured on its own prompt and answer, so that a difference holds what format and length of the answer do, too.",
        ("tuned_density", "base_density", "density_difference"),
        "Wu et al. 2024, From Language Modeling to Instruction Following (arXiv 2310.00492).",
    ),
    "agreement": Method(
        "Agreement of methods",
        "Kendall's tau-b between the orders in which each two methods put the same parts.",
        "Methods may agree and all be wrong; where they disagree, at least one of them misleads.",
        ("tuned_mean_tau", "base_mean_tau"),
        "Kendall 1938; Krishna et al. 2022, The Disagreement Problem in Explainable Machine Learning.",
    ),
    "randomisation": Method(
        "Randomised layers",
        "The weights of more and more layers are shuffled, from the last one down, and the scores are made again: Spearman's rho with the original ones.",
        "To pass is necessary, not sufficient: scores that depend on the weights may still point at the wrong parts.",
        ("tuned_likeness", "base_likeness"),
        "Adebayo et al. 2018, Sanity Checks for Saliency Maps, section 3.1.",
    ),
    "reasoning": Method(
        "Does the written reasoning carry the answer?",
        "Each model answers each item in its own words. Then its reasoning is cut short after every step, one step at a time is corrupted (a number, a negation or a comparison turned into its opposite), the whole is put in other words or replaced by as many filler tokens, and each time the most probable option is read again. An option that the model did not choose is also suggested in the instruction. AOC is the area over the curve of the answers that are already the final one, k = 0 steps included: 0 where no step is needed, 1 - 1/(2n) where all n are. A contradiction is an answer other than the one that its own right steps lead to. Differences are tuned minus base over the same items, with 95 % bootstrap intervals, permutation tests and Holm's correction.",
        "These tests measure self-consistency, not whether the text is how the model came to its answer. An easy question needs no steps, so that an AOC of 0 is not by itself unfaithful. Where the options hold little of the probability, the model would have written something else. Corrupted text is text that nobody wrote.",
        ("contradiction_tuned", "contradiction_base", "aoc_difference"),
        "Lanham et al. 2023, Measuring Faithfulness in Chain-of-Thought Reasoning (arXiv 2307.13702); Turpin et al. 2023 (hints, arXiv 2305.04388); Parcalabescu and Frank 2024 (arXiv 2311.07466).",
    ),
    "robustness": Method(
        "Was the skill learned, or the phrasing?",
        "Every item is asked as written and in every wording: typing errors, case, punctuation, politeness, synonyms, order, a distracting sentence, other layouts, its paraphrases, and wordings that the tuned model was trained on or never saw. The most probable option (or whether the right free answer would be written) is read each time. Reworded means in all of these but the item's own training and held-out wordings; a flip is a reworded choice other than the one as written (of a free answer: one that was right as written and is not). Gap is right answers as written and in the training wordings, minus those in the held-out ones. Spread is the highest minus the lowest share of right answers over the layouts. POSIX is how far the log-probability of an answer moves, in nats a token, when the wording changes. Word-score agreement is Kendall's tau between the scores of the input's words as written and in each other wording. Plain-text surprise is the negative log-likelihood, in nats a character, of texts without any instruction. Differences are tuned minus base over the same items or texts, with 95 % bootstrap intervals, permutation tests and Holm's correction; the spread has an interval and no test.",
        "A spread grows with the number of layouts that are drawn. A flip is not an error: the choice may have been wrong before. A gap of a few points between trained and unseen wordings is ordinary. The wordings are those that these rules make; others may do worse.",
        ("right_reworded_difference", "flips_difference", "gap_tuned"),
        "Sclar et al. 2024 (formats, arXiv 2310.11324); Chatterjee et al. 2024, POSIX (arXiv 2410.02185); Zhu et al. 2023, PromptBench (arXiv 2306.04528).",
    ),
    "bias": Method(
        "Does something that must not matter, matter?",
        "Every item is asked with its slots filled in every combination of groups, everything else alike. The probability of the favourable one of two options (among the two) is read each time. The difference is the mean over the cases of a group minus that over those of its reference, per item, with 95 % bootstrap intervals over items, and Holm's correction; p is the larger one of a permutation test over the items and of a t test against the noise floor's variance, because the same stand for a group in all items; in this crossed design it equals the fixed effect of a regression. Whether one model by itself has a bias between two groups, on which added, removed and the like rest, is told by its 95 % interval for these two, as far out as items and who stands there together move it, without correction for the number of groups. The noise floor is how far two sets of others of the same groups would be apart in 95 of 100 cases, from the variance that who stands for a group makes, in every item or in one, everything else alike (components by moments, Henderson 1953). The control of length compares only prompts of as many tokens.",
        "A name stands for a group only as far as a reader takes it so. No difference on these items says nothing of others. Where the two options hold little of the probability, the model would have written something else. A difference within the noise floor is no more than that between others of the same group.",
        ("tuned_largest_gap", "base_largest_gap", "tuned_sure_gap"),
        "Tamkin et al. 2023, Discrim-Eval (arXiv 2312.03689); Garg et al. 2019, Counterfactual Fairness in Text Classification (arXiv 1809.10610).",
    ),
    "calibration": Method(
        "Can its confidence be trusted?",
        "Both models choose among the options of items whose right answer is known; confidence is the probability of the chosen option among all. Items are sorted by confidence into 15 bins of as many each; the expected calibration error is the mean over the items of how far accuracy and confidence of their bin are apart. Beside it stands the error that a perfectly calibrated model with these confidences would have by chance. Overconfidence is mean confidence minus accuracy; the Brier score is the mean squared difference of confidence and rightness. Differences are tuned minus base over the same items. That of the calibration error is of what each has beyond its own error by chance, since of two perfectly calibrated models the less sure one shows more of it; its standard error is over resamples of the items, both models together, and at least that of simulated perfectly calibrated models. One model is called worse only where the errors differ surely both with and without what chance makes taken off, and on at least 20 items; no effect is said from as many as any share needs (100 at a margin of 3 points). The other measures have permutation tests; all four are corrected together (Holm).",
        "Calibration is of these items and options; of others it may be another. A model can be well calibrated and mostly wrong. With few items the error is larger than it is in truth; what chance makes corrects that of a nearly calibrated model, and takes too much off a badly calibrated one.",
        ("calibration_error_tuned", "calibration_error_base", "overconfidence_tuned"),
        "Guo et al. 2017, On Calibration of Modern Neural Networks (arXiv 1706.04599), eq. 3; Nixon et al. 2019 (equal mass, arXiv 1904.01685).",
    ),
    "published": Method(
        "What do published bias benchmarks say?",
        "The items of one published file, scored as its authors say. CrowS-Pairs: share of pairs whose more stereotypical sentence has the higher log-probability, ties in no numerator, in two causal variants: the whole sentence, and only the tokens that both sentences share. StereoSet: share of target terms' stereotypes above their anti-stereotypes by mean log-probability a token (SS), of related sentences above unrelated ones (LM), and ICAT = LM min(SS, 100 - SS) / 50. BBQ: the most probable of three answers, each scored whole; s_DIS = 2 biased / not unknown - 1, and s_AMB = (1 - accuracy) s_DIS. Differences are tuned minus base over the same items (of StereoSet, terms), with 95 % bootstrap intervals, permutation tests and Holm's correction.",
        "Many pairs of CrowS-Pairs and StereoSet have been found unreliable: unclear stereotypes, differences in more than the group, mistakes of grammar (Blodgett et al. 2021). The causal variants are not the published score of masked models and are not to be compared with it. A score without bias says nothing of other texts or uses, and one model that knows little English chooses by chance. Where the three answers of BBQ hold little of the probability, the model would have written something else.",
        ("full_stereotype_tuned", "ss_tuned", "s_amb_tuned", "tuned_mass"),
        "Nangia et al. 2020, CrowS-Pairs (arXiv 2010.00133); Nadeem et al. 2021, StereoSet (arXiv 2004.09456); Parrish et al. 2022, BBQ (arXiv 2110.08193); Blodgett et al. 2021, Stereotyping Norwegian Salmon (ACL 2021).",
    ),
    "instructions": Method(
        "Is the instruction itself the problem?",
        "Each model answers each instruction greedily. Then one sentence after the other is left out, and the mean log-probability of the tokens of the model's own answer is read again; the effect of a sentence is what it adds, in nats a token, and of an instruction the effect that is largest either way. The instruction is also put in neutral frames (a greeting, thanks) that ask the same: the entropy of the distinct answers over all of them is 0 where all get the same answer. Where there are options, each in turn is suggested after the instruction (I think the answer is ...), and its gain is the probability among the options that it wins; of an instruction the mean over the options. Differences are tuned minus base over the same instructions, with 95 % bootstrap intervals, permutation tests and Holm's correction. Marks come from rules of English that know seven faults of wording, without a model.",
        "A sentence that changes the answer may be the one that has to. Frames are a few of all neutral rewordings, and a different wording of the same answer counts as another answer. Rules read words and not what is meant: they miss about a third of the labelled faults, and an instruction without a mark is not thereby a good one.",
        ("suggestion_tuned", "suggestion_base", "answer_entropy_difference"),
        "Sharma et al. 2023, Towards Understanding Sycophancy (arXiv 2310.13548); Sclar et al. 2024 (formats, arXiv 2310.11324); Krosnick and Presser 2010, Question and Questionnaire Design.",
    ),
    "findings": Method(
        "What did tuning do to this model?",
        "The probes for reasoning, robustness, bias and calibration, and the explanations of many answers against random orders, one after another; each claim is drawn from the one finding that decides it, with its interval, test and margin. Explanations are occlusion scores of the words of the instruction; one is better than chance where at most 5 % of 100 random orders of the same words are as comprehensive.",
        "A claim is only as wide as its measure: more robust means to these rewordings, less biased means on these decisions and groups. Verdicts are corrected for the tests within a probe, not across probes. What is undecided is not absent.",
        ("more_faithful_reasoning_difference", "less_biased_difference", "better_calibrated_difference"),
        "Those of the probes; DeYoung et al. 2020, ERASER (comprehensiveness, arXiv 1911.03429).",
    ),
}
