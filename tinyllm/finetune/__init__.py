"""After pre-training: a model that can write learns to do something with it. Each method is a Task of the one loop.

    base.py               the model to start from: one that is there, or a small one that learns to write first
    freeze.py             what does not learn
    lora.py, bottleneck.py, soft_prompt.py    three ways to adapt a frozen model; adapted.py: the one of --tune
    adapter_file.py       keeps adapters, as peft does; loading.py finds them and the model that they belong to
    forgetting.py         a second task, and five ways to keep the first; fisher.py says which weights it needs
    batches.py            epochs of texts of like length
    labelled.py           texts with labels, balanced and split
    classifier.py         a GPT with a head that reads the last token, and its losses
    classify.py           the task of learning it
    targets.py            labels as numbers, predict.py what the model says
    metrics.py            accuracy, precision, recall, F1, confusion
    naive_bayes.py        what it is held against
    conversations.py      instructions and preferences from files, in the common layouts
    chat_template.py      a conversation as text
    examples.py           ids, what is learned of them, batches
    packing.py            batches without padding
    instruct.py           the task of learning answers
    log_probs.py          how likely a model finds an answer
    preferences.py        pairs of answers in batches, preference_losses.py which of the two is better
    reward.py, dpo.py     the two tasks that learn from them
    rollout.py            answers that a model gives, rewards.py what they are worth
    advantages.py         how much better than expected, policy_losses.py what is learned of it
    policy.py, ppo.py     the task: PPO, REINFORCE, GRPO
    words.py              questions, pairs and prompts to try all this on
"""
