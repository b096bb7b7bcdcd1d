"""Where the keys lead from a step of the walk, the same places as on the page."""


class Ways:
    """Of a Walk, which has the stops and their titles."""

    def over(self, index, direction):
        """The next step of another module, or phase; backwards the first one of that."""
        i = index
        while self._inside(i) and self._part(i) == self._part(index):
            i += direction
        if not self._inside(i):
            return len(self.stops) - 1 if direction > 0 else 0
        while direction < 0 and self._inside(i - 1) and self._part(i - 1) == self._part(i):
            i -= 1
        return i

    def _inside(self, i):
        return 0 <= i < len(self.stops)

    def _part(self, i):
        stop = self.stops[i]
        return (stop.phase == "backward", stop.step.call.scope) if stop.step.call else stop.phase

    def seed(self, index):
        return next((stop.index for stop in self.stops if stop.phase == "seed"), index)

    def pair(self, index):
        """The same op in the other direction; from an update, the last write to the gradient."""
        stop = self.stops[index]
        if stop.step.call is None:
            writes = [s.index for s in self.stops if s.phase == "backward" and s.step.value is stop.step.value]
            return writes[-1] if writes else index
        back = stop.phase == "backward"
        others = (s.index for s in self.stops if s.step.call is stop.step.call and (s.phase == "backward") != back)
        return next(others, index)

    def write(self, index, direction):
        """The next step that writes to what this one is about."""
        value = self.stops[index].step.value
        writes = [s.index for s in self.stops if value is not None and s.step.value is value]
        later = [i for i in writes if (i > index if direction > 0 else i < index)]
        return (later[0] if direction > 0 else later[-1]) if later else index

    def find(self, text):
        """The stops whose title, module or full name holds a text."""
        text = text.lower().strip()
        return [stop for stop in self.stops if text in self._searched(stop).lower()]

    def _searched(self, stop):
        name = stop.step.value.name if stop.step.value else ""
        return f"{stop.index} {stop.phase} {self.title(stop)} {self.subtitle(stop)} {name}"
