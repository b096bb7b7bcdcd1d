"""Who has diabetes? A network of four layers on a table of 768 patients.

    python diabetes.py [pima-indians-diabetes.csv]

The file has 8 measurements and the label (0 or 1) in each line, and no header. Without one, a made-up table is used.
"""

import sys

import numpy as np

import tinyllm as torch
from tinyllm import nn, optim
from tinyllm.data import DataLoader, Dataset


class DiabetesDataset(Dataset):
    def __init__(self, table):
        low, high = table.min(axis=0), table.max(axis=0)
        table = (table - low) / (high - low)  # every column from 0 to 1
        self.x = torch.tensor(table[:, :-1] * 2 - 1, dtype=torch.float32)  # the measurements from -1 to 1
        self.y = torch.tensor(table[:, -1:], dtype=torch.float32)

    def __getitem__(self, index):
        return self.x[index], self.y[index]

    def __len__(self):
        return len(self.x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(8, 6)
        self.linear2 = nn.Linear(6, 4)
        self.linear3 = nn.Linear(4, 2)
        self.linear4 = nn.Linear(2, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        x = self.sigmoid(self.linear1(x))
        x = self.sigmoid(self.linear2(x))
        x = self.sigmoid(self.linear3(x))
        return self.sigmoid(self.linear4(x))


if len(sys.argv) > 1:
    table = np.loadtxt(sys.argv[1], delimiter=",")
else:
    rng = np.random.RandomState(5)
    measurements = rng.randint(0, 200, (768, 8))
    illness = measurements @ [2, 6, 0, 1, 1, 4, 3, 2] + rng.randn(768) * 200
    table = np.column_stack([measurements, illness > 2100])

dataset = DiabetesDataset(table)
loader = DataLoader(dataset, batch_size=32, shuffle=False)

# The first weights come from numpy, so that they are the same in every library. They are large,
# because through four sigmoids with small ones hardly anything of the measurements arrives.
rng = np.random.RandomState(9)
model = Net()
model.load_state_dict({
    name: torch.tensor(rng.uniform(-4, 4, tuple(parameter.shape)), dtype=torch.float32)
    for name, parameter in model.named_parameters()
})

criterion = nn.BCELoss()
optimizer = optim.SGD(model.parameters(), lr=0.01)

for epoch in range(100):
    total = 0.0
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch + 1}: loss {total / len(loader):.7f}")

with torch.no_grad():
    predicted = (model(dataset.x) > 0.5).float()
accuracy = (predicted == dataset.y).float().mean().item()
print(f"accuracy {accuracy:.4f}")
