"""What a GPT of given sizes costs, without making it: parameters, arithmetic, memory."""


def parameter_count(config):
    """How many numbers a GPT learns; those of a tied output layer count once.

    A block has 12 C² weights: 3 C² for q, k and v, C² after the attention, 4 C² and 4 C² in the MLP.
    """
    V, T, L, C = config.vocab_size, config.block_size, config.n_layer, config.n_embd
    qkv_bias = config.bias if config.qkv_bias is None else config.qkv_bias
    block = 12 * C**2 + 2 * C
    if qkv_bias:
        block += 3 * C
    if config.bias:
        block += 6 * C + 2 * C  # after the attention C, in the MLP 4 C and C; two layer norms
    embeddings = V * C + T * C + (0 if config.tie_weights else V * C)
    return embeddings + L * block + C + (C if config.bias else 0)


def flops_per_token(config):
    """Multiplications and additions of the matrix products of one training step, for each token of the batch.

    A weight takes 2 forward and 4 backward (dx and dw). So does each pair of a query and a key that it may see, C
    products deep for the scores and C for the sum over the values: (T + 1)/2 such pairs a token on average.
    """
    T, L, C = config.block_size, config.n_layer, config.n_embd
    weights = L * 12 * C**2 + config.vocab_size * C
    attention = L * 2 * C * (T + 1) / 2
    return round(6 * (weights + attention))


def training_memory(config, batch_size, itemsize=4, rounded=False):
    """Bytes that a training step needs at its peak, nearly: the plain ops keep what their backward asks for.

    Parameters, gradients and AdamW's m and v are four copies of the model, and the update makes a fifth. Of each
    token a block keeps 20 vectors of C and one row of T attention weights a head; the head of the model keeps its
    scores, and works on two more copies of them.

    rounded: parameters are there once more, and activations alone, in bfloat16.
    """
    V, T, L, C, H = config.vocab_size, config.block_size, config.n_layer, config.n_embd, config.n_head
    parameters = parameter_count(config)
    mask = H * T / 4 if config.dropout else 0  # one byte an attention weight
    kept = L * (20 * C + H * T + mask) + 2 * C + V
    working = max(2 * V, 11 * C, H * T * (3.5 if config.dropout else 3))
    activations = batch_size * T * (kept + working)
    if rounded:
        return itemsize * 4 * parameters + 2 * parameters + max(itemsize * parameters, 2 * activations)
    return itemsize * (4 * parameters + max(parameters, activations))


def kernel_memory(config, batch_size, itemsize=4, shared=False):
    """Bytes that a training step with the kernels for numpy needs at its peak, nearly.

    Parameters, m and v are three copies of the model. Of each token a block keeps 16 vectors of C and, where windows
    are shorter than 512, the weights of the keys that its block of 64 queries sees; the head of the model keeps its
    scores, and their gradients are there for 4,096 words at a time.

    shared: workers share the sequences, and gradients have a vector of their own. Else they take the place of the
    activations, and the peak is where the backward begins, with the gradient of the output layer, or where it ends.
    """
    V, T, L, C, H = config.vocab_size, config.block_size, config.n_layer, config.n_embd, config.n_head
    parameters, tokens = parameter_count(config), batch_size * T
    weights = min(T, T / 2 + 32) if T < 512 else 0
    masks = (H * T + 2 * C) / itemsize if config.dropout else 0  # one byte an element
    working = max(min(V, 4096) + 2 * C, 9 * C)
    begin = tokens * (L * (16 * C + H * weights + masks) + 2 * C + V + working)
    if shared:
        return round(itemsize * (4 * parameters + begin))
    return round(itemsize * (3 * parameters + max(begin + V * C, parameters + tokens * 9 * C)))
