"""Words of the built-in miniatures: invented brands, product names by category, purposes with their synonyms."""

BRANDS = (
    "Alderby", "Bristane", "Corvelle", "Dunmarr", "Eastlow", "Fennick", "Garrowby", "Holmere",
    "Inverly", "Jarrold", "Kestrow", "Lindale", "Marwick", "Norvane", "Ostrand", "Pellworth",
)  # fmt: skip

# One product per silhouette of render.py, in its order.
PRODUCTS = {
    "Sports": ("ball", "mat", "tent", "hoop", "jump rope", "frisbee", "bat", "kite"),
    "Beauty": ("cream", "soap", "perfume", "compact", "serum", "lotion", "lipstick", "brush"),
    "Toys": ("marble", "puzzle", "pyramid", "ring", "jack set", "star lamp", "train", "top"),
    "Baby": ("rattle", "blanket", "bib", "teether", "mobile", "night light", "bottle", "toy kite"),
    "Clothing": ("hat", "scarf", "skirt", "bracelet", "vest", "brooch", "belt", "shawl"),
    "Instruments": ("drum", "cajon", "triangle", "tambourine", "stand", "cymbal", "flute", "pick"),
    "default": ("globe", "box", "cone", "ring", "cross", "star", "rod", "tile"),
}

# Five words for each purpose; a product's text uses three of them. Users go from one purpose to the next in this order.
PURPOSES = (
    ("beginner", "starter", "learner", "first-timer", "novice"),
    ("training", "practice", "exercise", "drill", "workout"),
    ("travel", "journey", "trip", "touring", "portable"),
    ("contest", "match", "tournament", "race", "league"),
    ("family", "kids", "household", "children", "group"),
    ("collector", "vintage", "heritage", "classic", "antique"),
)
