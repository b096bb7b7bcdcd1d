"""A network of two layers: a few steps of training, with every gradient printed."""

import numpy as np

import tinyllm as torch
from tinyllm import nn, optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(10, 5)
        self.relu = nn.ReLU()
        self.linear2 = nn.Linear(5, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        x = self.relu(self.linear1(x))
        return self.sigmoid(self.linear2(x))


# The data and the first weights come from numpy, so that they are the same in every library.
rng = np.random.RandomState(0)
x = torch.tensor(rng.randn(8, 10), dtype=torch.float32)
y = torch.tensor([[0.0], [1.0], [1.0], [0.0], [1.0], [0.0], [1.0], [0.0]])

model = Net()
model.load_state_dict({
    "linear1.weight": torch.tensor(rng.uniform(-0.5, 0.5, (5, 10)), dtype=torch.float32),
    "linear1.bias": torch.tensor(rng.uniform(-0.5, 0.5, 5), dtype=torch.float32),
    "linear2.weight": torch.tensor(rng.uniform(-0.5, 0.5, (1, 5)), dtype=torch.float32),
    "linear2.bias": torch.tensor(rng.uniform(-0.5, 0.5, 1), dtype=torch.float32),
})

criterion = nn.BCELoss()
optimizer = optim.SGD(model.parameters(), lr=0.5)

for step in range(5):
    y_pred = model(x)
    loss = criterion(y_pred, y)
    optimizer.zero_grad()
    loss.backward()
    print(f"step {step}: loss {loss.item():.7f}")
    for name, parameter in model.named_parameters():
        print(name, [round(number, 7) for number in parameter.grad.flatten().tolist()])
    optimizer.step()
