#define BONUS 0
