"""The models of tinyllm in PyTorch, written the way torch users write them; nothing here imports tinyllm."""
