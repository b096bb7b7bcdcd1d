"""After pre-training: a model that can write learns to do something with it. Each method is a Task of the one loop.

    conversations.py      instructions and preferences from files, in the common layouts
    chat_template.py      a conversation as text
    examples.py           ids, what is learned of them, batches
    packing.py            batches without padding
    log_probs.py          how likely a model finds an answer
    preference_losses.py  two answers, one better: a reward model, DPO
    policy_losses.py      answers that the model tried itself: REINFORCE, PPO, GRPO
    advantages.py         how much better than expected
"""
