"""What the terminal application is made of besides the step itself: the map, the time line, find, help."""

from rich.text import Text
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

HELP = """\
← →      one step back, on               ↑ ↓     over a module
Home End first, last                     B       where the backward begins
P        same op forward ⇄ backward      [ ]     writes to this tensor
C        arrows move the cell, Esc ends  Enter   to where its largest term was made
/        find a step                     Q       predict, then see
PgUp PgDn scroll the step                q       quit

Orange is above 0, blue below; what is added up has one scale. Without colour (NO_COLOR)
# + · - = go from large to small to negative, N is NaN, I infinite. With shift the arrows always
move the cell."""


class Pane(VerticalScroll, can_focus=False):
    """Keys go to the stepper and not to what scrolls."""


class Map(Static):
    """Modules and ops: what has run, and which gradients have arrived. A click goes there."""

    def on_click(self, event):
        rows = self.app.map_rows
        if event.y < len(rows) and rows[event.y] is not None:
            self.app.go(rows[event.y])


class Timeline(Static):
    """All steps, coloured by phase; dots where a gradient is added to another one. A click goes there."""

    def on_click(self, event):
        self.app.go(event.x * len(self.app.walk.stops) // max(1, self.size.width))


class Find(ModalScreen):
    AUTO_FOCUS = "Input"
    BINDINGS = [("escape", "dismiss(None)", "close")]

    def compose(self):
        with VerticalScroll(id="dialog", can_focus=False):
            yield Input(placeholder="an op, a tensor, a module, a number of a step")
            yield OptionList()

    def on_mount(self):
        self.on_input_changed()

    def on_input_changed(self, event=None):
        found = self.app.walk.find(event.value if event else "")[:200]
        options = [Option(Text(f"{s.index:>4}  {s.phase:<8} {self.app.walk.title(s)}"), str(s.index)) for s in found]
        listed = self.query_one(OptionList)
        listed.set_options(options)
        listed.highlighted = 0 if options else None

    def on_key(self, event):
        if event.key == "down" and self.query_one(Input).has_focus:
            self.query_one(OptionList).focus()

    def on_input_submitted(self, event):
        listed = self.query_one(OptionList)
        self.dismiss(int(listed.get_option_at_index(listed.highlighted).id) if listed.option_count else None)

    def on_option_list_option_selected(self, event):
        self.dismiss(int(event.option.id))


class Help(ModalScreen):
    BINDINGS = [("escape,question_mark,q,enter", "dismiss", "close")]

    def compose(self):
        yield Static(Text(HELP), id="dialog")
