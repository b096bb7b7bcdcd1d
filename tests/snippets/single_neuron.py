"""One neuron: forward, loss, backward."""

import tinyllm as torch
from tinyllm.nn import functional as F

x = torch.tensor(1.1)
y = torch.tensor(1.0)
w = torch.tensor(2.2, requires_grad=True)
b = torch.tensor(0.0, requires_grad=True)

z = x * w + b
a = torch.sigmoid(z)
loss = F.binary_cross_entropy(a, y)
loss.backward()

print(f"loss {loss.item():.4f}")
print(f"w.grad {w.grad.item():.4f}")
print(f"b.grad {b.grad.item():.4f}")
